"""Threads beside the network: one that goes ahead of it, one that follows it. What they call gives the GIL back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_TICK = 0.1
"""Seconds between looks at whether to stop, where a thread waits."""


class _End:
    """The last item: the items have ended, perhaps by an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Ahead(Generic[T]):
    """Iterates in a thread of its own, at most `room` items ahead; an error comes up where its item would be.

    Args:
        items: is iterated over in the thread.
        room: items that may wait.
        live: where there is no room, the oldest waiting item is dropped for the new one.
    """

    def __init__(self, items: Iterable[T], room: int, *, live: bool = False) -> None:
        self._items, self._live = items, live
        self._queue: queue.Queue[T | _End] = queue.Queue(room)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._next()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stops the thread, after the item that it is at."""
        self._stop.set()
        self._thread.join()

    def _next(self) -> T | _End:
        while True:
            try:
                return self._queue.get(timeout=_TICK)  # a wait without an end could not be interrupted on Windows
            except queue.Empty:
                continue

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._stop.is_set():
                    return
        except BaseException as error:
            self._put(_End(error))
        else:
            self._put(_End(None))

    def _put(self, item: T | _End) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0 if self._live else _TICK)
                return
            except queue.Full:
                if self._live:
                    self._drop()

    def _drop(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:  # it was taken just now
            return


class Behind(Generic[T]):
    """Calls a function on items in a thread of its own, in their order; `room` may wait before `put` does.

    Args:
        act: is called.
        room: items that may wait.
    """

    def __init__(self, act: Callable[[T], None], room: int) -> None:
        self._act = act
        self._queue: queue.Queue[T | _End] = queue.Queue(room)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hands an item over.

        Raises:
            BaseException: what the function raised for an earlier one.
        """
        self._check()
        self._queue.put(item)

    def close(self) -> None:
        """Waits for what was handed over.

        Raises:
            BaseException: what the function raised.
        """
        self._queue.put(_End(None))
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not isinstance(item := self._queue.get(), _End):
            if self._error is not None:
                continue  # what still waits is thrown away, so that `put` and `close` do not wait for ever
            try:
                self._act(item)
            except BaseException as error:
                self._error = error
