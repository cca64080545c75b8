"""When a process leaves its load balancer before it leaves its clients: the state, and the signals that start it.

Theory of operation. A supervisor, or the platform, sends SIGTERM; a server answers by closing its listening socket, and
a load balancer that has not noticed yet gets refused connections. The shim stands in front of the server's own handler:
the first SIGTERM marks the process as draining, and after ``seconds`` the process signals itself again, and that one
goes through to the handler. A SIGTERM during the wait changes nothing.

A signal reaches a server in one of two ways, and both are held back:

* a handler of ``signal.signal`` (uvicorn, Gunicorn's WSGI workers): ours takes its place and calls it later;
* a handler of an event loop (hypercorn, Granian, Gunicorn's asgi worker): the interpreter writes the signal's number
  into the wake-up descriptor, which the loop reads. Ours takes the place of that descriptor; a thread passes on
  every byte to the loop's, and drops SIGTERM's until the wait is over. No loop's private attribute is touched.

Handlers can be set in the main thread only. The state belongs to a process: a forked child begins anew.

Sources: Python documentation "signal", ``set_wakeup_fd``; Kubernetes "Pod Lifecycle", termination.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

__all__ = ["DRAINING", "DrainFile", "Draining"]

_log = logging.getLogger("gateway.middleware.health")
_Previous = Callable[[int, FrameType | None], object] | int | None


class DrainFile:
    """A file that drains the process while it exists.

    A folder that cannot be searched, a lost network disk or a broken link chain is neither "exists" nor "does not
    exist". The last state that was seen then holds, at first "does not exist": one wrong permission must not take
    every instance out of the load balancer at once.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._last = False
        self._unreadable = False

    def exists(self) -> bool:
        """Look at the disk. A look at one local file takes less than the hand-over to a thread would."""
        try:
            self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._last = False
        except OSError as error:
            if not self._unreadable:
                self._unreadable = True
                _log.error(
                    "Health(drain_file='%s') cannot be looked up, so this process keeps %s: %s",
                    self._path,
                    "draining" if self._last else "serving",
                    error,
                )
            return self._last
        else:
            self._last = True
        if self._unreadable:
            self._unreadable = False
            _log.warning("Health(drain_file='%s') can be looked up again", self._path)
        return self._last


class Draining:
    """The draining of this process: whether it has begun, and the handlers that begin it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._reset()

    def _reset(self) -> None:
        self.begun = False
        #: What asked for SIGTERM, each with its seconds; the longest wait holds.
        self._waits: dict[object, float] = {}
        self._users: dict[object, None] = {}
        self._previous: dict[int, _Previous] = {}
        self._released = False
        self._timer: threading.Timer | None = None
        #: The two ends of our pipe, and the loop's own descriptor.
        self._wakeup: tuple[int, int] | None = None
        self._loops = -1

    def _own(self) -> None:
        """Begin anew in a forked child: nothing that the parent began is under way here."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._reset()

    def __bool__(self) -> bool:
        return self.begun and self._pid == os.getpid()

    def begin(self) -> None:
        """Mark the process as draining."""
        self._own()
        self.begun = True

    def install(self, user: object, *, seconds: float | None, usr1: bool) -> bool:
        """Install what starts the draining, after the server's own handlers; again does nothing, or what is needed
        since somebody has set handlers of his own.

        Args:
            user: Who asks; `uninstall` takes the same object.
            seconds: How long SIGTERM is held back; None leaves SIGTERM alone.
            usr1: Whether SIGUSR1 starts it.

        Returns:
            False where this thread may not install handlers.
        """
        self._own()
        if threading.current_thread() is not threading.main_thread():
            return False
        self._users[user] = None
        if seconds is not None:
            self._waits[user] = seconds
            self._take(signal.SIGTERM, self._on_term)
            if sys.platform != "win32":  # where a loop's handlers are python's own
                self._take_wakeup()
        if usr1:
            self._take(signal.SIGUSR1, self._on_usr1)
        return True

    def covers(self, *, seconds: float | None, usr1: bool) -> bool:
        """Whether the handlers that are asked for are in place in this process."""
        if self._pid != os.getpid():
            return False
        return (seconds is None or signal.SIGTERM in self._previous) and (not usr1 or signal.SIGUSR1 in self._previous)

    def uninstall(self, user: object) -> None:
        """Give the handlers back when nobody needs them any more; the state of the process is then over too."""
        self._own()
        self._waits.pop(user, None)
        self._users.pop(user, None)
        if self._users or threading.current_thread() is not threading.main_thread():
            return
        for signum, previous in self._previous.items():
            ours = self._on_term if signum == signal.SIGTERM else self._on_usr1
            if signal.getsignal(signum) == ours:
                signal.signal(signum, signal.SIG_DFL if previous is None else previous)
        if self._timer is not None:
            self._timer.cancel()
        self._give_wakeup_back()
        self._reset()

    # handlers

    def _take(self, signum: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
        current = signal.getsignal(signum)
        if current == handler:
            return
        if signum is signal.SIGTERM and current is signal.SIG_DFL and multiprocessing.parent_process() is not None:
            warnings.warn(
                "Health(drain_seconds=...): this worker handles no SIGTERM, its supervisor stops it by other means; "
                "use Health(drain_file=...), or run the server without a supervisor (hypercorn --workers 0)",
                RuntimeWarning,
                stacklevel=4,
            )
        self._previous[signum] = signal.signal(signum, handler)
        if sys.platform != "win32":
            signal.siginterrupt(signum, False)  # as the servers do: a system call in flight goes on

    def _on_usr1(self, signum: int, frame: FrameType | None) -> None:
        self.begin()
        previous = self._previous.get(signum)
        if callable(previous):
            previous(signum, frame)

    def _on_term(self, signum: int, frame: FrameType | None) -> None:
        # In a child that was forked without starting anew nothing waits: its end is its own affair.
        if self._released or self._pid != os.getpid():
            self._hand_over(signum, frame)
        elif self._timer is None:
            self.begun = True
            seconds = max(self._waits.values(), default=0.0)
            self._timer = threading.Timer(seconds, self._release)
            self._timer.daemon = True
            self._timer.start()

    def _release(self) -> None:
        self._released = True
        os.kill(os.getpid(), signal.SIGTERM)

    def _hand_over(self, signum: int, frame: FrameType | None) -> None:
        previous = self._previous.get(signum)
        if callable(previous):
            previous(signum, frame)
        elif previous is None or previous == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    # the wake-up descriptor of a loop

    def _take_wakeup(self) -> None:
        """Stand before the loop's descriptor, if it has one; uvloop sets it anew each time that it runs."""
        if self._wakeup is None:
            read, write = os.pipe()
            os.set_blocking(write, False)
        else:
            read, write = self._wakeup
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        if before == write:
            return
        if before == -1:  # no loop handles signals: python's own handlers are all there is
            signal.set_wakeup_fd(-1)
            if self._wakeup is None:
                os.close(read)
                os.close(write)
            return
        self._loops = before
        if self._wakeup is None:
            self._wakeup = (read, write)
            threading.Thread(target=self._pass_on, args=(read,), name="gateway-signals", daemon=True).start()

    def _pass_on(self, read: int) -> None:
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while data := pipe.read(64):
                if not self._released:
                    data = data.replace(bytes([signal.SIGTERM]), b"")
                # Full: the loop is awake anyway. Closed: nobody reads it any more.
                with contextlib.suppress(OSError):
                    os.write(self._loops, data)

    def _give_wakeup_back(self) -> None:
        if self._wakeup is None:
            return
        _, write = self._wakeup
        self._wakeup = None
        current = signal.set_wakeup_fd(-1)
        with contextlib.suppress(OSError, ValueError):  # the loop has closed its own
            if current == write:
                signal.set_wakeup_fd(self._loops, warn_on_full_buffer=False)
            elif current != -1:  # somebody else's since
                signal.set_wakeup_fd(current, warn_on_full_buffer=False)
        os.close(write)


#: The one of this process.
DRAINING = Draining()
