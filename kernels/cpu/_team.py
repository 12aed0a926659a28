"""Steps of one compiled function that several threads share, without going back to Python between them.

A leader goes through the steps. It offers each in pieces, does such pieces itself until none is left, and waits for
those that helpers have begun. Helpers look out for pieces from when the system has woken them until the team is closed.
So nobody waits for a thread that is late, never comes, or has lost its core, unless it is in the middle of a piece.

What they share is a few numbers, each in cache lines of its own: a ticket (the step's number, how many pieces it has,
how many were taken), how many are done, and a description of the step that only its author understands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ._threads import run_with_helpers

Team = NDArray[np.int64]

_LINE = 8  # numbers in a cache line
_TICKET, _CLOSED, _DONE, _STEP = 0, 1, 2 * _LINE, 4 * _LINE
_BITS = 16  # of a ticket: pieces taken, above them pieces offered, above them the step
_MASK = (1 << _BITS) - 1
_SPINS = 1 << 10  # looks before a core goes to others that want it

_give_way = types.ExternalFunction("SwitchToThread" if os.name == "nt" else "sched_yield", types.intc())


def new_team() -> Team:
    """Return the memory of a team."""
    return np.zeros(_STEP + 2 * _LINE, np.int64)


def work_together(lead: Callable[[Team], object], follow: Callable[[Team], object], most: int) -> None:
    """Call ``lead`` in this thread and ``follow`` in ``most - 1`` others, if there are so many to be had."""
    team = new_team()

    def leading() -> None:
        try:
            lead(team)
        finally:
            close(team)

    run_with_helpers(leading, lambda: follow(team), most - 1)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


@intrinsic  # type: ignore[untyped-decorator]
def _add_one(typing_context: Any, team: Any, index: Any) -> Any:
    """Add 1 to a number that others change too, and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *args)
        return builder.atomic_rmw("add", pointer, ir.IntType(64)(1), "acq_rel")

    return types.int64(team, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _look(typing_context: Any, team: Any, index: Any) -> Any:
    """Read a number, and with it all that was written before it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(context, builder, signature.args[0], *args), "acquire", _LINE)

    return types.int64(team, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _show(typing_context: Any, team: Any, index: Any, value: Any) -> Any:
    """Write a number, and with it all that was written before it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, at, number = args
        builder.store_atomic(number, _pointer(context, builder, signature.args[0], array, at), "release", _LINE)
        return context.get_dummy_value()

    return types.void(team, types.intp, types.int64), generate


@njit(nogil=True, cache=True)
def offer(team, step, pieces):  # type: ignore[no-untyped-def]
    """Offer the next step in at most 2^15 pieces: ``step`` is up to 16 numbers that say what it is."""
    for i in range(len(step)):
        team[_STEP + i] = step[i]
    team[_DONE] = 0
    number = (_look(team, _TICKET) >> 2 * _BITS) + 1
    _show(team, _TICKET, ((number << _BITS) + pieces) << _BITS)


@njit(nogil=True, cache=True)
def take(team):  # type: ignore[no-untyped-def]
    """Take a piece of the step that the leader has offered: its number, as many as there are or more if all are taken.

    It is to be ``put_back`` when it is done.
    """
    return _add_one(team, _TICKET) & _MASK


@njit(nogil=True, cache=True)
def put_back(team):  # type: ignore[no-untyped-def]
    """Say that a piece is done."""
    _add_one(team, _DONE)


@njit(nogil=True, cache=True)
def await_all(team, pieces):  # type: ignore[no-untyped-def]
    """Wait until all pieces of the step are done."""
    spins = 0
    while _look(team, _DONE) < pieces:
        spins += 1
        if spins % _SPINS == 0:
            _give_way()


@njit(nogil=True, cache=True)
def await_piece(team):  # type: ignore[no-untyped-def]
    """Wait for a piece of any step, and take it; return its number, or -1 when there are no more."""
    spins = 0
    while not _look(team, _CLOSED):
        ticket = _look(team, _TICKET)
        if ticket & _MASK < (ticket >> _BITS) & _MASK:
            ticket = _add_one(team, _TICKET)  # of the next step, perhaps
            if ticket & _MASK < (ticket >> _BITS) & _MASK:
                return ticket & _MASK
        spins += 1
        if spins % _SPINS == 0:
            _give_way()
    return -1


@njit(nogil=True, cache=True)
def step_of(team):  # type: ignore[no-untyped-def]
    """Return the numbers that say what a step is; they stay until the piece that was taken of it is put back."""
    return team[_STEP:]


@njit(nogil=True, cache=True)
def close(team):  # type: ignore[no-untyped-def]
    """Send the helpers home."""
    _show(team, _CLOSED, 1)
