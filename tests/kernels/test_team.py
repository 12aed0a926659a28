"""Teams: every piece of every step once, whoever comes when, and steps one after the other."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numba import njit

from vidprep.kernels.cpu._team import await_all, await_piece, new_team, offer, put_back, step_of, take, work_together
from vidprep.kernels.cpu._threads import set_num_threads

STEPS, PIECES = 300, 5


@njit(nogil=True)
def lead(team, sums):  # type: ignore[no-untyped-def]
    """Step ``s`` adds to row ``s`` the row before, backwards, plus one: right only if that is complete."""
    for s in range(1, len(sums)):
        offer(team, (s, 7), PIECES)
        piece = take(team)
        while piece < PIECES:
            do(sums, s, piece)
            put_back(team)
            piece = take(team)
        await_all(team, PIECES)


@njit(nogil=True)
def follow(team, sums, pieces_done):  # type: ignore[no-untyped-def]
    while True:
        piece = await_piece(team)
        if piece < 0:
            return
        step, seven = step_of(team)[:2]
        if seven == 7:
            do(sums, step, piece)
            pieces_done[0] += 1
        put_back(team)


@njit(nogil=True)
def do(sums, s, piece):  # type: ignore[no-untyped-def]
    sums[s, piece] += sums[s - 1, PIECES - 1 - piece] + 1


@pytest.fixture
def helpers():
    """Compiled functions, and threads enough; their number is put back."""
    team, sums = new_team(), np.zeros((2, PIECES), np.int64)
    lead(team, sums)
    set_num_threads(4)
    yield
    set_num_threads(None)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_each_piece_is_done_once_and_steps_follow_each_other(helpers: None, most: int) -> None:
    for _ in range(20):
        sums, done = np.zeros((STEPS, PIECES), np.int64), np.zeros(1, np.int64)
        work_together(lambda team: lead(team, sums), lambda team: follow(team, sums, done), most)  # noqa: B023
        np.testing.assert_array_equal(sums, np.arange(STEPS)[:, None].repeat(PIECES, axis=1))


def test_a_helper_does_its_share(helpers: None) -> None:
    """The leader offers, and leaves all pieces to the helper."""

    @njit(nogil=True)
    def lead_only(team, sums):  # type: ignore[no-untyped-def]
        for s in range(1, len(sums)):
            offer(team, (s, 7), PIECES)
            await_all(team, PIECES)

    sums, done = np.zeros((STEPS, PIECES), np.int64), np.zeros(1, np.int64)
    lead_only(new_team(), sums[:1])  # compiled
    work_together(lambda team: lead_only(team, sums), lambda team: follow(team, sums, done), 2)
    assert done[0] == (STEPS - 1) * PIECES
    np.testing.assert_array_equal(sums, np.arange(STEPS)[:, None].repeat(PIECES, axis=1))


def test_helpers_go_when_the_leader_fails(helpers: None) -> None:
    joined = threading.Event()

    def fail(team: object) -> None:
        assert joined.wait(20)
        raise KeyError("no")

    def wait_for_pieces(team: object) -> None:
        joined.set()
        await_piece(team)

    with pytest.raises(KeyError, match="no"):
        work_together(fail, wait_for_pieces, 2)
