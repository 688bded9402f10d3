"""Code of the user's, `module:name`: found from a folder and imported.

Nothing but a name that is written in this form ever imports a user's code.
"""

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sparsweep.spaces.faults import nearest

_WORD = r"[^\W\d]\w*"
_NAME = re.compile(rf"({_WORD}(?:\.{_WORD})*):({_WORD})")
LONGEST_NAME = 120
"""Characters: databases index the labels of knobs, which hold the method's name."""


def is_own(name: str) -> bool:
    """Whether a name stands for the user's own code."""
    return ":" in name


def spelled(name: str) -> tuple[str, str] | None:
    """Module and attribute of `module:name`; None where it is not written so."""
    found = _NAME.fullmatch(name)
    return None if found is None or len(name) > LONGEST_NAME else (found[1], found[2])


def own_function(name: str, code_root: Path | None, example: str) -> Callable[..., Any]:
    """The function that a `module:function` stands for.

    Args:
        code_root: see `imported`.
        example: how such a name could be written, for the message.

    Raises:
        ValueError: there is none, or it cannot be called.
    """
    parts = spelled(name)
    if parts is None:
        raise ValueError(f"{name[:60]!r} is not module:function: write such as {example}")
    module = imported(parts[0], code_root)
    found: Any = getattr(module, parts[1], None)
    if found is None:
        here = [key for key, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == parts[0]]
        there = f"it defines {', '.join(here)}" if here else "it defines no function"
        file = getattr(module, "__file__", None) or "built in"
        raise ValueError(f"{name}: module {parts[0]} ({file}) has no {parts[1]}{nearest(parts[1], here)}; {there}")
    if not callable(found):
        raise ValueError(f"{name} is a {type(found).__name__}, not a function: write def {parts[1]}(...)")
    function: Callable[..., Any] = found
    return function


def imported(name: str, code_root: Path | None) -> ModuleType:
    """The user's module.

    Args:
        code_root: put first on `sys.path`, as if Python had been started there; None leaves the path as it is.

    Raises:
        ValueError: there is none, or it cannot be imported.
    """
    if code_root is not None and str(code_root) not in sys.path:
        sys.path.insert(0, str(code_root))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        if fault.name is not None and f"{name}.".startswith(f"{fault.name}."):
            where = f"in {code_root} nor " if code_root is not None else ""
            text = f"there is no module {fault.name} {where}installed: run the command in the folder that holds it"
            raise ValueError(text) from fault
        raise ValueError(_unimportable(name, fault, code_root)) from fault
    except (Exception, SystemExit) as fault:
        raise ValueError(_unimportable(name, fault, code_root)) from fault


def _unimportable(name: str, fault: BaseException, code_root: Path | None) -> str:
    said = told(fault, code_root)
    return f"{name} cannot be imported: {said}; try python -c 'import {name}'"


def told(fault: BaseException, code_root: Path | None) -> str:
    """An error of the user's code in one line, with the line of the user's that raised it."""
    lines = [f for f in traceback.extract_tb(fault.__traceback__) if code_root and _is_under(f.filename, code_root)]
    at = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    own = " ".join(str(fault).split()) or "without a word"
    return f"{type(fault).__name__}: {own}{at}"


def _is_under(file: str, folder: Path) -> bool:
    return Path(file).is_relative_to(folder)
