"""Jobs in processes of their own, several at once, each keeping its result in a file: they go on where they were."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")


def side_by_side(jobs: Sequence[Job], do: Callable[[Job], None], processes: int) -> Generator[Job, None, None]:
    """Does every job; tells each as it ends. Closing it begins no further one and awaits those that run.

    Args:
        do: function of a module, or a partial of one, as it goes to another process.
    """
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        running = {pool.submit(do, job): job for job in jobs}
        for done in as_completed(running):
            done.result()
            yield running[done]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
