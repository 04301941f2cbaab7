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


def endless(closed):
    """Zeros; sets the event `closed` when it is closed."""
    try:
        while True:
            yield 0
    finally:
        closed.set()


def test_closing_early_stops_the_thread_and_closes_the_source():
    closed = threading.Event()
    before = threading.active_count()
    stage = ahead(endless(closed), 2)
    next(stage)
    stage.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_an_abandoned_stage_ends_its_thread():
    closed = threading.Event()
    next(ahead(endless(closed), 2))
    assert closed.wait(timeout=60)


def test_closing_wakes_who_waits_and_need_not_wait_for_the_source():
    asked, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def slow():
        try:
            asked.set()
            go_on.wait(60)
            yield 1
        finally:
            closed.set()

    stage, got = ahead(slow(), 1), []
    consumer = threading.Thread(target=lambda: got.extend(stage))
    consumer.start()
    assert asked.wait(60)
    stage.close(wait=False)  # the source is still at its item
    consumer.join(60)
    assert not consumer.is_alive() and got == [] and not closed.is_set()
    go_on.set()
    assert closed.wait(60)
