"""A function in a process of its own, which shares no threads, memory or settings of torch with this one.

By `multiprocessing` the process would import the caller's main module again, which not every script can bear; a fork
would have this process's locks but not its threads.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

TOLD = 300
"""Characters of what a process that died had printed last."""


def in_own_process(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """What `function(*arguments)` returns there.

    Args:
        function: of a module's top level.

    Raises:
        RuntimeError: the process died.
        Exception: what the function raised.
    """
    order = pickle.dumps(sys.path) + pickle.dumps((function, tuple(arguments)))
    ended = subprocess.run([sys.executable, "-m", __name__], input=order, capture_output=True, check=False)
    if ended.returncode:
        last = ended.stderr.decode(errors="replace").strip()[-TOLD:]
        raise RuntimeError(f"the process that runs {function.__name__} died with exit code {ended.returncode}: {last}")
    result, fault = pickle.loads(ended.stdout)
    if fault is not None:
        raise fault
    return result


def _answer() -> bytes:
    """The order's result and what it raised, of which one is None."""
    sys.path[:] = pickle.load(sys.stdin.buffer)
    function, arguments = pickle.load(sys.stdin.buffer)
    try:
        return pickle.dumps((function(*arguments), None))
    except Exception as fault:
        try:
            pickle.loads(said := pickle.dumps((None, fault)))
        except Exception:  # not every exception can be sent
            return pickle.dumps((None, RuntimeError(f"{type(fault).__name__}: {fault}")))
        return said


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what the function prints is no answer
        out.write(_answer())
