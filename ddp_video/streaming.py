"""Running one stage of a pipeline ahead of the next, on its own thread, through a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_POLL_SECONDS = 0.1  # how soon a waiting side notices that the stage was closed
_ITEM, _ERROR, _END = "item", "error", "end"


class Stage(Iterator[Item], Generic[Item]):
    """What `ahead` gives. `close` may be called by any thread, also while another one waits for an item, which is then
    told that there are no more."""

    def __init__(self, source: Iterable[Item], depth: int):
        self._items: queue.Queue = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=_produce, args=(source, self._items, self._closed), name="ddp-video-stage", daemon=True
        )

    def __next__(self) -> Item:
        if self._thread.ident is None and not self._closed.is_set():
            self._thread.start()
        while not self._closed.is_set():
            try:
                kind, value = self._items.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if kind == _ITEM:
                return value
            self.close()
            if kind == _ERROR:
                raise value
        raise StopIteration

    def close(self, wait: bool = True) -> None:
        """Stop the thread, which closes the source. With `wait` it has ended when this returns; without, it ends as soon
        as the source gives the item that it is at."""
        self._closed.set()
        if wait and self._thread.ident is not None:
            self._thread.join()

    def __del__(self):  # whoever forgot to close it: the thread knows the stage's parts only, and ends too
        self._closed.set()


def _produce(source: Iterable, items: queue.Queue, closed: threading.Event) -> None:
    def put(kind: str, value: object) -> bool:
        while not closed.is_set():
            try:
                items.put((kind, value), timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    try:
        try:
            for item in source:
                if not put(_ITEM, item):
                    return
        finally:
            if hasattr(source, "close"):
                source.close()
        put(_END, None)
    except BaseException as error:  # whatever it is belongs to the consumer
        put(_ERROR, error)


def ahead(source: Iterable[Item], depth: int) -> Stage[Item]:
    """Iterate `source` on another thread, at most `depth` items ahead of whoever consumes them.

    An exception of the source is raised to the consumer in its place. Closing the stage stops the thread and closes the
    source before it returns, so no thread outlives its pipeline.
    """
    return Stage(source, depth)


def sent_ahead(source: Iterable[Item], send: Callable[[Item], Answer], window: int) -> Iterator[tuple[Item, Answer]]:
    """Every item with what `send` gives for it, in order; the next `window` (0: none) are sent before one comes out."""
    sent: deque[tuple[Item, Answer]] = deque()
    for item in source:
        sent.append((item, send(item)))
        if len(sent) > window:
            yield sent.popleft()
    while sent:
        yield sent.popleft()
