"""Running one stage of a pipeline ahead of the next, on its own thread, through a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_POLL_SECONDS = 0.1  # how soon a blocked producer notices that nobody listens any more


def ahead(source: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Iterate `source` on another thread, at most `depth` items ahead of whoever consumes them.

    An exception of the source is raised to the consumer in its place. Closing the generator (or an exception in the
    consumer) stops the thread and closes the source before it returns, so no thread outlives its pipeline.
    """
    items: queue.Queue = queue.Queue(depth)
    stopped = threading.Event()

    def put(kind: str, value: object) -> bool:
        while not stopped.is_set():
            try:
                items.put((kind, value), timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            try:
                for item in source:
                    if not put("item", item):
                        return
            finally:
                if hasattr(source, "close"):
                    source.close()
            put("end", None)
        except BaseException as error:  # whatever it is belongs to the consumer
            put("error", error)

    thread = threading.Thread(target=produce, name="ddp-video-stage", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = items.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
