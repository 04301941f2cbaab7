"""`ahead`: order, bounded depth, exceptions and early ends."""

import threading

import pytest

from ddp_video.streaming import ahead


def test_gives_every_item_in_order():
    assert list(ahead(iter(range(100)), 3)) == list(range(100))


def test_nothing_to_give():
    assert list(ahead([], 1)) == []


def test_an_exception_arrives_after_the_items_before_it():
    def source():
        yield 1
        raise ZeroDivisionError("two")

    stage = ahead(source(), 4)
    assert next(stage) == 1
    with pytest.raises(ZeroDivisionError, match="two"):
        next(stage)


def test_runs_no_further_ahead_than_its_depth():
    taken = []

    def source():
        for i in range(50):
            taken.append(i)
            yield i

    for i, item in enumerate(ahead(source(), 2)):
        assert item == i
        # consumed + 2 queued + 1 in the producer's hand
        assert len(taken) <= i + 1 + 3


def test_closing_early_stops_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    stage = ahead(source(), 2)
    next(stage)
    stage.close()
    assert closed.is_set()
    assert threading.active_count() == before
