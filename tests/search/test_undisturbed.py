"""A stop that comes at the wrong moment takes effect a moment later."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from sparsweep.search.undisturbed import STOPS, undisturbed


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What the process's own handlers hear."""
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in STOPS}
    yield came
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("which", STOPS)
def test_a_stop_waits_for_the_end_of_the_block(heard: list[int], which: signal.Signals) -> None:
    with undisturbed():
        os.kill(os.getpid(), which)
        os.kill(os.getpid(), which)
        assert heard == []
    assert heard == [which], "once, however often it was asked for"
    os.kill(os.getpid(), which)
    assert heard == [which, which], "the handlers are back"


def test_ctrl_c_is_a_keyboard_interrupt_after_the_block() -> None:
    done: list[bool] = []

    @undisturbed()
    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done


def test_the_handlers_are_back_where_the_block_fails(heard: list[int]) -> None:
    with pytest.raises(ImportError), undisturbed():
        raise ImportError
    os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]


def test_in_another_thread_nothing_is_held_up(heard: list[int]) -> None:
    within: list[int] = []

    def work() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            asked.set()
            done.wait(timeout=60)

    asked, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    asked.wait(timeout=60)
    within.extend(heard)
    done.set()
    thread.join()
    assert heard == within == [signal.SIGINT]
