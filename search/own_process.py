"""A function in a process of its own, which shares no threads, memory or settings of torch with this one.

By `multiprocessing` the process would import the caller's main module again, which not every script can bear; a fork
would have this process's locks but not its threads. What goes there and comes back is JSON: nothing is unpickled.
"""

import builtins
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

TOLD = 300
"""Characters of what a process that died had printed last."""


def in_own_process(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """What `function(*arguments)` returns there, as JSON gives it back: a tuple as a list.

    Args:
        function: of a module's top level.
        arguments: plain data.

    Raises:
        RuntimeError: the process died, or the function raised what is none of Python's own exceptions.
        Exception: what the function raised.
    """
    order = {"path": sys.path, "module": function.__module__, "name": function.__qualname__, "arguments": arguments}
    ended = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(order).encode(), capture_output=True, check=False
    )
    if ended.returncode:
        last = ended.stderr.decode(errors="replace").strip()[-TOLD:]
        raise RuntimeError(f"the process that runs {function.__name__} died with exit code {ended.returncode}: {last}")
    answer = json.loads(ended.stdout)
    if "fault" in answer:
        raise _fault(**answer["fault"])
    return answer["result"]


def _fault(kind: str, said: str) -> Exception:
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            return known(said)
        except TypeError:  # UnicodeDecodeError and its like take more
            pass
    return RuntimeError(f"{kind}: {said}")


def _answer() -> dict[str, Any]:
    """The order's result, or what it raised."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]
    try:
        result = getattr(import_module(order["module"]), order["name"])(*order["arguments"])
    except Exception as fault:
        return {"fault": {"kind": type(fault).__name__, "said": str(fault)}}
    return {"result": result}


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # what the function prints is no answer
        json.dump(_answer(), out)
