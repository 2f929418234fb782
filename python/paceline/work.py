"""Calls that are under way."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, Generator, Optional

from . import _native
from .errors import TimeoutError


class Work:
    """The handle of an asynchronous call, which its arrays belong to until it is done: do not read
    the output, do not touch either.

    It keeps the arrays alive, and the communicator. Dropping it before the end waits for nothing:
    the operation goes on, and the library keeps the arrays until it has ended; if it fails, the next
    call on the communicator raises why.

    One thread at a time; different Works may be used by different threads."""

    __slots__ = ("_native", "_result", "__weakref__")

    def __init__(self, native: _native.Work, result: Any) -> None:
        self._native = native
        self._result = result

    @property
    def result(self) -> Any:
        """The array with the result, or None where this rank gets none; complete once done."""
        return self._result

    def done(self) -> bool:
        """Whether it has succeeded or failed. Never blocks; makes progress if nobody else does."""
        return self._native.done()

    def wait(self, timeout: Optional[float] = None) -> Any:
        """Waits until it is done, for at most `timeout` seconds, and returns `result`.

        Raises its Error if it failed, and TimeoutError when `timeout` passes first: the operation
        then goes on, and wait() may be called again. So it does when Ctrl-C, or what another
        signal's handler raises, ends the wait."""
        if not self._native.wait(timeout):
            raise TimeoutError(f"the operation is not done after {timeout} s; it goes on: wait() "
                               "again, or abort() the communicator")
        return self._result

    def restart(self) -> "Work":
        """Makes the same call on the same arrays again, as all ranks do: a plan made once, started
        many times. Not before it is done, and not of a send or recv. Returns itself."""
        self._native.restart()
        return self

    def __await__(self) -> Generator[Any, None, Any]:
        """Waits in asyncio: no thread polls; the loop is woken when the operation ends."""
        if not self._native.done():
            yield from _Bell.of(asyncio.get_running_loop()).watch(self._native).__await__()
        return self.wait()

    def __repr__(self) -> str:
        return f"<paceline.Work, {'done' if self.done() else 'under way'}>"


class _Bell:
    """Wakes one event loop when operations end: a descriptor that the library writes to, which the
    loop watches as long as somebody waits."""

    _of_loop: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell]" = (
        weakref.WeakKeyDictionary())

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._notifier = _native.Notifier()
        self._waiting: list[tuple[_native.Work, asyncio.Future[None]]] = []

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "_Bell":
        bell = cls._of_loop.get(loop)
        if bell is None:
            bell = cls._of_loop[loop] = cls(loop)
        return bell

    async def watch(self, work: _native.Work) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.add_reader(self._notifier.fileno(), self._ring)
        self._waiting.append((work, ended))
        try:
            work.notify(self._notifier)
            await ended
        finally:  # also when the task is cancelled: the operation goes on
            self._waiting = [entry for entry in self._waiting if entry[1] is not ended]
            self._rest(loop)

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._waiting and not loop.is_closed():
            loop.remove_reader(self._notifier.fileno())

    def _ring(self) -> None:
        self._notifier.drain()
        for work, ended in self._waiting:
            if not ended.done() and work.done():
                ended.set_result(None)
