"""Ctrl-C between two steps of training, so that nothing learnt is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """While it lasts, Ctrl-C (SIGINT) and SIGTERM are only noted; gives a function that tells whether one came.

    The second one works as usual, for whom the first is too slow. What is ignored stays so, as Ctrl-C is by a shell's
    background jobs; outside the main thread, which signals go to, nothing changes.
    """
    came = []
    usual = {}
    if threading.current_thread() is threading.main_thread():
        usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        usual = {number: handler for number, handler in usual.items() if handler not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        came.append(number)
        restore()

    for number in usual:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        restore()
