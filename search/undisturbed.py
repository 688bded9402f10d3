"""What must not be broken off in the middle."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPS = (signal.SIGINT, signal.SIGUSR1)
"""Ctrl-C, and what a stop from elsewhere comes as."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """A stop that comes within the block takes effect at its end.

    An import that is broken off leaves halves of a package behind, and whoever imports it next, in whatever thread,
    fails or waits. In other threads than the main one, which hear no signals, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in STOPS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    for number in dict.fromkeys(came):
        signal.raise_signal(number)
