"""Fixtures that run a kernel test on every device."""

from __future__ import annotations

import pytest

from executors import Run, executor


@pytest.fixture(params=["cpu", "host", "cuda"], scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """``run(function, *args)`` on each device."""
    return executor(request.param)


@pytest.fixture(params=["host", "cuda"], scope="session")
def run_cuda(request: pytest.FixtureRequest) -> Run:
    """``run(function, *args)`` through the CUDA path, to be compared with the CPU."""
    return executor(request.param)
