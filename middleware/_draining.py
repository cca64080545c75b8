"""Draining: take a process out of its load balancer before it stops. Holds the state and the signal handlers.

Theory of operation. A supervisor, or the platform, sends SIGTERM, and a server then closes its listening socket. A load
balancer that has not noticed yet gets refused connections. So our handler runs instead of the server's. The first
SIGTERM marks the process as draining. After ``seconds`` the process signals itself again, and that signal reaches the
server's handler. A SIGTERM during the wait changes nothing.

A signal reaches a server in one of two ways. This module delays both:

* A handler set by ``signal.signal`` (uvicorn, Gunicorn's WSGI workers). Our handler replaces it and calls it later.
* A handler of an event loop (hypercorn, Granian, Gunicorn's asgi worker). The interpreter writes the signal's number
  into the wake-up descriptor, which the loop reads. Our pipe replaces that descriptor. A thread passes every byte on
  to the loop's descriptor, but drops the bytes of SIGTERM until the wait is over. This uses no private attribute.

Python sets handlers in the main thread only. The state belongs to one process: a forked child begins anew.

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

    A folder without search permission, a lost network disk or a broken link chain is neither "exists" nor "does not
    exist". Then the last known state stays valid; the first state is "does not exist". So a wrong permission does not
    take every instance out of the load balancer at once.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._last = False
        self._unreadable = False

    def exists(self) -> bool:
        """Stat the file in the calling thread, because that takes less time than a switch to another thread."""
        try:
            self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._last = False
        except OSError as error:
            if not self._unreadable:
                self._unreadable = True
                _log.error(
                    "Health(drain_file='%s') cannot be read, so this process keeps %s: %s",
                    self._path,
                    "draining" if self._last else "serving",
                    error,
                )
            return self._last
        else:
            self._last = True
        if self._unreadable:
            self._unreadable = False
            _log.warning("Health(drain_file='%s') can be read again", self._path)
        return self._last


class Draining:
    """The draining state of this process, and the handlers that begin the draining."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._reset()

    def _reset(self) -> None:
        self.begun = False
        #: Users that want SIGTERM delayed, with their seconds. The longest wait counts.
        self._waits: dict[object, float] = {}
        self._users: dict[object, None] = {}
        self._previous: dict[int, _Previous] = {}
        self._released = False
        self._timer: threading.Timer | None = None
        #: The two ends of our pipe. `_loops` is the loop's own descriptor.
        self._wakeup: tuple[int, int] | None = None
        self._loops = -1

    def _own(self) -> None:
        """Begin anew in a forked child, because the parent's timer and thread do not run here."""
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
        """Install the handlers that start the draining; call it after the server has set its own handlers.

        A second call restores only the handlers that other code has replaced since.

        Args:
            user: The object that needs the handlers; `uninstall` takes the same object.
            seconds: Seconds to delay SIGTERM; None leaves SIGTERM alone.
            usr1: Whether SIGUSR1 starts the draining.

        Returns:
            False if this thread must not install handlers.
        """
        self._own()
        if threading.current_thread() is not threading.main_thread():
            return False
        self._users[user] = None
        if seconds is not None:
            self._waits[user] = seconds
            self._take(signal.SIGTERM, self._on_term)
            if sys.platform != "win32":  # on Windows a loop uses `signal.signal` itself
                self._take_wakeup()
        if usr1:
            self._take(signal.SIGUSR1, self._on_usr1)
        return True

    def covers(self, *, seconds: float | None, usr1: bool) -> bool:
        """Return whether this process has the handlers for these options."""
        if self._pid != os.getpid():
            return False
        return (seconds is None or signal.SIGTERM in self._previous) and (not usr1 or signal.SIGUSR1 in self._previous)

    def uninstall(self, user: object) -> None:
        """Remove a user. After the last user, the main thread restores the server's handlers and resets the state."""
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
                "Health(drain_seconds=...): this worker gets no SIGTERM, because its supervisor stops it in "
                "another way; use Health(drain_file=...), or run the server without a supervisor (hypercorn "
                "--workers 0)",
                RuntimeWarning,
                stacklevel=4,
            )
        self._previous[signum] = signal.signal(signum, handler)
        if sys.platform != "win32":
            signal.siginterrupt(signum, False)  # as servers do, so that a running system call continues

    def _on_usr1(self, signum: int, frame: FrameType | None) -> None:
        self.begin()
        previous = self._previous.get(signum)
        if callable(previous):
            previous(signum, frame)

    def _on_term(self, signum: int, frame: FrameType | None) -> None:
        # A forked child that has not called `install` has no timer, so its signal goes through at once.
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
        # A signal rather than a call of the handler, because this is the timer's thread.
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
        """Replace the loop's descriptor by our pipe, if there is one; uvloop sets it again each time that it runs."""
        if self._wakeup is None:
            read, write = os.pipe()
            os.set_blocking(write, False)  # set_wakeup_fd requires it
        else:
            read, write = self._wakeup
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        if before == write:
            return
        if before == -1:  # no loop handles signals, so `_take` has done all that is needed
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
                # If the pipe is full, the loop is awake anyway. If it is closed, its loop has ended.
                with contextlib.suppress(OSError):
                    os.write(self._loops, data)

    def _give_wakeup_back(self) -> None:
        if self._wakeup is None:
            return
        _, write = self._wakeup
        self._wakeup = None
        current = signal.set_wakeup_fd(-1)
        with contextlib.suppress(OSError, ValueError):  # the loop may have closed its descriptor
            if current == write:
                signal.set_wakeup_fd(self._loops, warn_on_full_buffer=False)
            elif current != -1:  # other code has set its own since, so put it back
                signal.set_wakeup_fd(current, warn_on_full_buffer=False)
        os.close(write)


#: The instance of this process.
DRAINING = Draining()
