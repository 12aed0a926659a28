"""TV-L1 flow of one pair of frames on the CPU, from the coarsest level to the finest, in one compiled call.

Threads may share the rows of a pair: see ``vidprep.kernels.cpu._team``. The result is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..tvl1_parameters import TVL1Parameters
from ._team import await_all, await_piece, offer, put_back, step_of, take
from .tvl1_median import median_filter
from .tvl1_planes import PAD_LEFT, PAD_ROWS, Planes, new_planes_memory, num_floats, planes_in
from .tvl1_pyramid import TapTables, flow_tables, upsample_flow
from .tvl1_solver import (
    FLOW_PLANES,
    MAX_WAVE,
    MIN_BAND,
    N1,
    STATE_PLANES,
    U1,
    U2,
    iterate,
    mean_change,
)
from .tvl1_warp import linearise

_MIN_PART = 1 << 10  # pixels: with fewer, threads wait for each other more than they work
_UPSAMPLE, _LINEARISE, _ITERATE, _ITERATE_BETWEEN, _FILTER, _INTERLEAVE = range(6)


class Plan(NamedTuple):
    """What all pairs of frames have in common; ``make_plan`` makes it."""

    sizes: NDArray[np.int64]  # (levels, 2): height and width, the finest first
    tables: TapTables
    num_warps: int
    max_iterations: int
    inner_iterations: int
    median_size: int
    theta: np.float32
    rate: np.float32  # tau / theta
    threshold: np.float32  # lambda theta
    limit: float  # of the mean squared change


class Buffers(NamedTuple):
    """Memory to solve one pair in, used by all levels; ``make_buffers`` makes it."""

    flows: Planes  # (2, floats): by upsampling and filtering, the flow goes back and forth between both
    state: Planes
    changes: Planes


def make_plan(sizes: Sequence[tuple[int, int]], parameters: TVL1Parameters) -> Plan:
    """Return how pairs of pyramids with levels of these sizes are solved."""
    return Plan(
        sizes=np.array(sizes, np.int64),
        tables=flow_tables(tuple(sizes)),
        num_warps=int(parameters.num_warps),
        max_iterations=int(parameters.max_iterations),
        inner_iterations=int(parameters.inner_iterations),
        median_size=int(parameters.median_size),
        theta=np.float32(parameters.theta),
        rate=np.float32(parameters.tau / parameters.theta),
        threshold=np.float32(parameters.lambda_ * parameters.theta),
        limit=float(parameters.epsilon**2),
    )


def make_buffers(size: tuple[int, int]) -> Buffers:
    """Return memory for pairs whose finest level has this size."""
    return Buffers(
        flows=new_planes_memory(2 * num_floats(*size, FLOW_PLANES)).reshape(2, -1),
        state=new_planes_memory(num_floats(*size, STATE_PLANES)),
        changes=np.zeros(size[0], np.float32),
    )


@njit(nogil=True, cache=True)
def _steps(plan, buffers, threads):  # type: ignore[no-untyped-def]
    """Yield the steps of a pair: kind, level, in which buffer the flow is, two numbers more, and into how many parts
    the rows are divided. What comes next may depend on what a step has done.
    """  # fmt: skip
    buffers.flows[0] = 0
    place = 0
    levels = len(plan.sizes)
    for level in range(levels - 1, -1, -1):
        height, width = plan.sizes[level]
        parts = 1 if threads == 1 else max(1, min(2 * threads, height // MIN_BAND, height * width // _MIN_PART))
        if level + 1 < levels:
            yield _UPSAMPLE, level, place, 0, 0, parts
            place = 1 - place
        for warp in range(plan.num_warps):
            yield _LINEARISE, level, place, warp, 0, parts
            left = plan.max_iterations
            while left:
                count = min(left, plan.inner_iterations)
                left -= count
                while count:
                    wave = min(count, MAX_WAVE)
                    count -= wave
                    yield _ITERATE, level, place, wave, int(count == 0), parts
                    yield _ITERATE_BETWEEN, level, place, wave, int(count == 0), parts
                change = mean_change(buffers.changes, height, width)
                if plan.median_size > 1:
                    yield _FILTER, level, place, 0, 0, parts
                    place = 1 - place
                if change <= plan.limit:
                    break
    yield _INTERLEAVE, 0, place, 0, 0, parts


@njit(nogil=True, cache=True, inline="always")
def _do_part(step, part, plan, buffers, pyramid0, pyramid1, out):  # type: ignore[no-untyped-def]
    """Do a step for one part of the rows."""
    kind, level, place, number, ends, parts = step
    height, width = plan.sizes[level]
    first, last = height * part // parts, height * (part + 1) // parts
    flow = planes_in(buffers.flows[place], height, width, FLOW_PLANES)
    other = planes_in(buffers.flows[1 - place], height, width, FLOW_PLANES)
    state = planes_in(buffers.state, height, width, STATE_PLANES)
    if kind == _UPSAMPLE:
        coarse_height, coarse_width = plan.sizes[level + 1]
        coarse = planes_in(buffers.flows[place], coarse_height, coarse_width, FLOW_PLANES)
        upsample_flow(coarse, other, coarse_height, coarse_width, height, width, plan.tables, 2 * level, first, last)
    elif kind == _LINEARISE:
        if number == 0:  # of the level's warps
            _clear_duals(state, height, first, last)
        at = 0
        for finer in range(level):
            at += num_floats(plan.sizes[finer, 0], plan.sizes[finer, 1], 1)
        image0, image1 = planes_in(pyramid0[at:], height, width, 1), planes_in(pyramid1[at:], height, width, 1)
        linearise(image0, image1, flow, state, height, width, plan.threshold, first, last)
    elif kind == _FILTER:
        median_filter(flow, other, height, width, plan.median_size, first, last)
    elif kind == _INTERLEAVE:
        _interleave(flow, out, first, last)
    else:
        between = kind == _ITERATE_BETWEEN
        iterate(
            flow, state, buffers.changes, height, width, plan.theta, plan.rate, number, ends != 0, between, part, parts
        )


@njit(nogil=True, cache=True)
def solve(team, threads, plan, buffers, pyramid0, pyramid1, out):  # type: ignore[no-untyped-def]
    """Write the flow between two pyramids to ``out``, ``(H, W, 2)``, and return how many iterations it took.

    With more than one thread, others may call ``help_solving`` with the same.
    """
    iterations = 0
    for step in _steps(plan, buffers, threads):
        count = step[5]
        if step[0] == _ITERATE:
            iterations += step[3]
        elif step[0] == _ITERATE_BETWEEN:
            count -= 1
        shared = count > 1
        if shared:
            offer(team, step, count)
        part = take(team) if shared else 0
        while part < count:
            _do_part(step, part, plan, buffers, pyramid0, pyramid1, out)
            if shared:
                put_back(team)
                part = take(team)
            else:
                part += 1
        if shared:
            await_all(team, count)
    return iterations


@njit(nogil=True, cache=True)
def help_solving(team, plan, buffers, pyramid0, pyramid1, out):  # type: ignore[no-untyped-def]
    """Take part in ``solve`` until the team is closed."""
    part = await_piece(team)
    while part >= 0:
        kind, level, place, number, ends, parts = step_of(team)[:6]
        _do_part((kind, level, place, number, ends, parts), part, plan, buffers, pyramid0, pyramid1, out)
        put_back(team)
        part = await_piece(team)


@njit(nogil=True, cache=True)
def _clear_duals(state, height, first, last):  # type: ignore[no-untyped-def]
    """Set p to zero in some rows, and around the picture."""
    for row in range(first + PAD_ROWS if first else 0, last + PAD_ROWS + (PAD_ROWS if last == height else 0)):
        state[row, :N1] = 0


@njit(nogil=True, cache=True)
def _interleave(flow, out, first, last):  # type: ignore[no-untyped-def]
    for y in range(first, last):
        line = out[y]
        u1, u2 = flow[y + PAD_ROWS, U1, PAD_LEFT:], flow[y + PAD_ROWS, U2, PAD_LEFT:]
        for x in range(out.shape[1]):
            line[x, 0] = u1[x]
            line[x, 1] = u2[x]
