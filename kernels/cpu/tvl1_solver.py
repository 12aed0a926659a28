"""The primal-dual iterations of TV-L1 on the CPU: many iterations in one walk over the rows.

One iteration at one pixel (Zach, Pock, Bischof 2007, equations 14 to 17; Sanchez et al. 2013, algorithm 1), with
``n`` the unit vector along the image gradient, ``rho`` the residual over its length and ``bound`` lambda theta times
its length, which makes the three cases of the threshold step one clamp::

    v = u - clamp(rho + n . u, -bound, bound) n
    u = v + theta div p                          (both components of u with their own dual vector)
    p = (p + tau / theta grad u) / (1 + tau / theta |grad u|)

Iteration k + 1 of a row needs only this row and its two neighbours after iteration k. So rows are walked like a
wave: at step s, iteration k works on row s - k, all in place, and the rows between the first and the last iteration
stay in the cache. To share the work between threads, bands of rows shrink at their inner edges by one row an
iteration, which needs nothing from the neighbour; the wedges left open between bands are filled afterwards. The
results are the same to the bit, whatever the bands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from .tvl1_lanes import FLOAT, LANES, Lanes, Memory, counted_from, splat
from .tvl1_planes import PAD_LEFT, PAD_ROWS

U1, U2 = range(2)
"""Planes of a flow."""
P11, P12, P21, P22, N1, N2, RHO, BOUND = range(8)
"""Planes of a state: dual vectors (p11, p12) of u1 and (p21, p22) of u2, and the linearised data term."""
FLOW_PLANES, STATE_PLANES = 2, 8
DUAL_PLANES = slice(P11, N1)

MAX_WAVE = 16
"""Iterations in one walk: their rows have to fit the cache."""
MIN_BAND = 2 * MAX_WAVE + 2
"""The fewest rows of a band: what its edges leave open must not meet."""


def _row_step(*, primal: bool, dual: bool, measured: bool = False) -> Callable[..., None]:
    """Make ``step(flow, state, flow_at, state_at, line, below, theta, rate[, changes, row, inside])``.

    For 16 pixels of one row: ``primal`` renews u of this row, ``dual`` renews p of the row above it.

    - ``flow_at``, ``state_at``: flat indices of the first pixel in the first plane.
    - ``line``: floats in a row of one plane.
    - ``below``: how many floats behind the row above lies the row that its vertical difference is taken with; 0 at
      the last row, where the difference is zero.
    - ``rate``: tau / theta.
    - ``measured`` adds the squared change of u in the first ``inside`` pixels to ``changes[row]``.
    """

    def build(builder: Any, u: Memory, p: Memory, line: Any, below: Any, theta: Lanes, rate: Lanes) -> list[Lanes]:
        def u_at(i: int, rows_up: int = 0, shift: int = 0, down: Any = None) -> Lanes:
            offset = builder.mul(line, line.type(i - rows_up * FLOW_PLANES))
            offset = builder.add(offset, line.type(shift))
            return u.load(builder.add(offset, down) if down is not None else offset)

        def p_offset(i: int, rows_up: int = 0, shift: int = 0) -> Any:
            return builder.add(builder.mul(line, line.type(i - rows_up * STATE_PLANES)), line.type(shift))

        def p_at(i: int, rows_up: int = 0, shift: int = 0) -> Lanes:
            return p.load(p_offset(i, rows_up, shift))

        above = p_at(P12, 1), p_at(P22, 1)
        old: list[Lanes] = []
        new: list[Lanes] = []
        if primal:
            n = p_at(N1), p_at(N2)
            old = [u_at(U1), u_at(U2)]
            bound = p_at(BOUND)
            rho = n[1].times_plus(old[1], n[0].times_plus(old[0], p_at(RHO)))
            excess = -rho.clamp(-bound, bound)
            for i, (across, down) in enumerate(((P11, P12), (P21, P22))):
                divergence = p_at(across) - p_at(across, 0, -1) + p_at(down) - above[i]
                new.append(theta.times_plus(divergence, excess.times_plus(n[i], old[i])))
        if dual:
            gradients = []
            for i in (U1, U2):
                here = u_at(i, 1)
                under = new[i] if primal else u_at(i, 1, 0, below)
                gradients.append((u_at(i, 1, 1) - here, under - here))
            lengths = [rate.times_plus(x.times_plus(x, y * y).sqrt(), 1.0) for x, y in gradients]
            for i, (across, down) in enumerate(((P11, P12), (P21, P22))):
                inverse = rate.of(1.0) / lengths[i]
                x = rate.times_plus(gradients[i][0], p_at(across, 1)) * inverse
                y = rate.times_plus(gradients[i][1], above[i]) * inverse
                p.store(x, p_offset(across, 1))
                p.store(y, p_offset(down, 1))
        for i, lanes in enumerate(new):
            u.store(lanes, builder.mul(line, line.type(i)))
        return [lanes - before for lanes, before in zip(new, old, strict=True)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flow_array, state_array, flow_at, state_at, line, below, theta, rate = args[:8]
        u = Memory(context, builder, signature.args[0], flow_array, flow_at)
        p = Memory(context, builder, signature.args[1], state_array, state_at)
        moved = build(builder, u, p, line, below, splat(builder, theta), splat(builder, rate))
        if measured:
            changes_array, row, inside = args[8:]
            mask = counted_from(builder, 0).less(splat(builder, builder.sitofp(inside, FLOAT)))
            squares = moved[0].times_plus(moved[0], moved[1] * moved[1]).where(mask, 0.0)
            Memory(context, builder, signature.args[8], changes_array, row).add_scalar(squares.sum(), 0)
        return context.get_dummy_value()

    number, index = types.float32, types.intp
    common = (index, index, index, index, number, number)

    @intrinsic  # type: ignore[untyped-decorator]
    def step(
        typing_context: Any, flow: Any, state: Any, fa: Any, sa: Any, line: Any, below: Any, theta: Any, rate: Any
    ) -> Any:
        return types.void(flow, state, *common), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def measured_step(
        typing_context: Any, flow: Any, state: Any, fa: Any, sa: Any, line: Any, below: Any, theta: Any, rate: Any,
        changes: Any, row: Any, inside: Any,
    ) -> Any:  # fmt: skip
        return types.void(flow, state, *common, changes, index, index), generate

    return measured_step if measured else step  # type: ignore[no-any-return]


_primal = _row_step(primal=True, dual=False)
_dual = _row_step(primal=False, dual=True)
_primal_dual = _row_step(primal=True, dual=True)
_primal_measured = _row_step(primal=True, dual=False, measured=True)
_primal_dual_measured = _row_step(primal=True, dual=True, measured=True)


@njit(nogil=True, cache=True, inline="always")
def _row(flow, state, changes, y, height, width, theta, rate, primal, dual, measured):  # type: ignore[no-untyped-def]
    """Renew u of row ``y`` and p of row ``y - 1``, or one of both."""
    line = flow.shape[2]
    flow_at = (y + PAD_ROWS) * FLOW_PLANES * line + PAD_LEFT
    state_at = (y + PAD_ROWS) * STATE_PLANES * line + PAD_LEFT
    below = 0 if y == height else FLOW_PLANES * line
    if primal and measured:
        changes[y] = 0
        for x in range(0, width, LANES):
            if dual:
                _primal_dual_measured(
                    flow, state, flow_at + x, state_at + x, line, below, theta, rate, changes, y, width - x
                )
            else:
                _primal_measured(
                    flow, state, flow_at + x, state_at + x, line, below, theta, rate, changes, y, width - x
                )
    elif primal and dual:
        for x in range(0, width, LANES):
            _primal_dual(flow, state, flow_at + x, state_at + x, line, below, theta, rate)
    elif primal:
        for x in range(0, width, LANES):
            _primal(flow, state, flow_at + x, state_at + x, line, below, theta, rate)
    elif dual:
        for x in range(0, width, LANES):
            _dual(flow, state, flow_at + x, state_at + x, line, below, theta, rate)
    if primal:  # the horizontal difference at the last column is zero
        for i in range(FLOW_PLANES):
            flow[y + PAD_ROWS, i, PAD_LEFT + width] = flow[y + PAD_ROWS, i, PAD_LEFT + width - 1]


@njit(nogil=True, cache=True)
def walk(  # type: ignore[no-untyped-def]
    flow, state, changes, height, width, theta, rate, iterations, measured, first, first_slope, last, last_slope, wedge
):
    """Do ``iterations`` iterations of a band, or of a wedge between two bands.

    Iteration k renews u of rows ``first + first_slope * k`` to ``last + last_slope * k - 1``. In a band it renews p
    of the same rows, without the last one at an inner edge, whose neighbour below is not there yet; in a wedge, which
    makes up for that, of the row above its first one, too. ``measured``: the last iteration fills ``changes``.
    """
    above, short = (1, 0) if wedge else (0, 1 if last_slope else 0)
    for s in range(first, last + 2 * iterations + 1):
        for k in range(iterations):
            y = s - k
            begin, end = first + first_slope * k, last + last_slope * k
            primal = begin <= y and y < end
            dual = begin - above <= y - 1 and y - 1 < end - short
            if primal or dual:
                _row(
                    flow, state, changes, y, height, width, theta, rate, primal, dual, measured and k == iterations - 1
                )


@njit(nogil=True, cache=True, inline="always")
def iterate(  # type: ignore[no-untyped-def]
    flow, state, changes, height, width, theta, rate, iterations, ends, between, band, bands
):
    """Do ``iterations`` iterations in place: of one band, but for what needs the bands around, or what is left of them.

    Parameters
    ----------
    flow, state
        Planes of u, and of p and the data term.
    changes
        One float for each row: the squared change of u, in pixels, made by the last of the iterations if it ``ends``.
    height, width
        Of the level, with ``MIN_BAND`` rows for each band at least.
    theta, rate
        As in the papers, and tau / theta, float32.
    iterations
        1 to ``MAX_WAVE``.
    ends
        Whether ``changes`` is asked for.
    between
        ``False`` for a band; ``True``, when all bands are done, for the wedge between it and the next one.
    band, bands
        Which band of how many.
    """
    first, last = height * band // bands, height * (band + 1) // bands
    above, below = int(band > 0), -int(band + 1 < bands)  # slopes: 0 at the picture's edges
    if between:
        first, above, below = last, -1, 1
    walk(flow, state, changes, height, width, theta, rate, iterations, ends, first, above, last, below, between)


@njit(nogil=True, cache=True)
def mean_change(changes, height, width):  # type: ignore[no-untyped-def]
    """Return the mean squared change of u, of those of the rows."""
    total = 0.0
    for y in range(height):
        total += np.float64(changes[y])
    return total / (height * width)
