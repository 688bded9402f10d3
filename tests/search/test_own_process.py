"""A function in a process of its own: result, faults, what it prints."""

import os

import pytest

from sparsweep.search.own_process import in_own_process


class OddError(Exception):
    """None of Python's own."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def whose(number: int) -> tuple[int, int]:
    print("what is printed is no answer")
    return number, os.getpid()


def refuses(text: str) -> None:
    raise ValueError(text)


def odd() -> None:
    raise OddError("an od", "d one")


def undecodable() -> None:
    b"\xff".decode()


def test_it_runs_elsewhere_and_its_result_comes_back() -> None:
    number, process = in_own_process(whose, (3,))
    assert number == 3
    assert process != os.getpid()


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(ValueError, match=r"^no such device$"):
        in_own_process(refuses, ("no such device",))
    with pytest.raises(RuntimeError, match=r"^OddError: an odd one$"):
        in_own_process(odd, ())
    with pytest.raises(RuntimeError, match=r"^UnicodeDecodeError: .*can't decode byte 0xff"):
        in_own_process(undecodable, ())


def test_a_process_that_dies_says_how() -> None:
    with pytest.raises(RuntimeError, match="runs _exit died with exit code 3"):
        in_own_process(os._exit, (3,))
