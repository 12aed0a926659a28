"""A worker's process, seen from the run: a Python of its own that never imports the user's main module.

``multiprocessing`` would import it, and so run again whatever a script does outside of ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.spawn import get_executable

from ..errors import VidprepError
from ..events import Event
from ..shard import ShardTask
from . import worker
from .worker import ShardBuilder, WorkerReady

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""What a process gets to end by itself once it was told to, or its pipe is closed."""

# `sys` alone is imported before the path is that of the parent: another folder's modules must not come first.
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from {module} import main; main(int(sys.argv[1]))"


class WorkerProcess:
    """A process that serves ``ShardTask``s, and the pipe to it.

    Parameters
    ----------
    device
        Where it decodes and computes.
    build
        What it does with a task; imported there by its name.

    Raises
    ------
    VidprepError
        If the system starts no more processes.
    """

    def __init__(self, device: str, build: ShardBuilder) -> None:
        self._pipe, theirs = Pipe()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
        program = _PROGRAM.format(module=worker.__name__)
        path = [entry for entry in sys.path if isinstance(entry, str)]
        arguments = [get_executable(), *flags, "-c", program, str(theirs.fileno()), *path]
        try:
            with theirs, _interrupts_held_back():
                self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        except OSError as error:
            self._pipe.close()
            raise VidprepError(f"a worker process cannot be started ({error}): try fewer --workers") from error
        except KeyboardInterrupt:
            self._pipe.close()  # a process that is there already takes it for its end
            raise
        self._send((device, build))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def pipe(self) -> Connection:
        """What ``multiprocessing.connection.wait`` takes: readable when the worker said something, or is no more."""
        return self._pipe

    def send(self, task: ShardTask) -> None:
        """Hand a task to a worker that waits for one; to one that is dead, nothing happens."""
        self._send(task)

    def receive(self) -> tuple[list[Event | VidprepError | WorkerReady], bool]:
        """Return the messages that wait, and whether the process is still there. If not, they are its last."""
        running = self._process.poll() is None  # asked before the pipe is emptied: nothing is sent after death
        messages: list[Event | VidprepError | WorkerReady] = []
        try:
            while self._pipe.poll():
                messages.append(self._pipe.recv())
        except (EOFError, OSError):  # the latter if death came in the middle of a message
            running = False
        return messages, running

    def cause_of_death(self) -> str:
        """Say in a clause how the process ended; one that has only closed its pipe gets a moment to end."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        self.kill()
        code = self._process.returncode
        if code is None:
            return "its worker process cannot be ended"
        if code >= 0:
            return f"its worker process ended with status {code}"
        name = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
        return f"its worker process was killed by {name}"

    def ask_to_leave(self, *, at_once: bool) -> None:
        """Tell the process to end: ``at_once`` in the middle of its work, or else when it next wants some."""
        if at_once:
            self._process.terminate()
        self._pipe.close()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the process, but no longer than this."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def kill(self) -> None:
        """End the process now, if it is there."""
        self._pipe.close()
        self._process.kill()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # the kernel waits for a device or a file server; nobody can end that
            logger.warning("worker process %d does not end", self.pid)

    def _send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            logger.debug("a worker died before it got what was sent")  # receive() finds out


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start a process such that Ctrl-C, which a terminal sends to it as well, never finds it: it inherits the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
