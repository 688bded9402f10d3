"""A user's own method, `module:Class`: found from a folder, imported, and asked whether it is a method.

Nothing but a name that is written in this form ever imports a user's code.
"""

import importlib
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from sparsweep.spaces.faults import nearest
from sparsweep.trainables.methods.method import Method
from sparsweep.trainables.methods.plug_in_faults import class_faults

_WORD = r"[^\W\d]\w*"
_NAME = re.compile(rf"({_WORD}(?:\.{_WORD})*):({_WORD})")
LONGEST_NAME = 120
"""Characters: databases index the labels of knobs, which hold the method's name."""


def plug_in(name: str, code_root: Path | None) -> type[Method]:
    """The class that a `module:Class` stands for.

    Args:
        code_root: put first on `sys.path`, as if Python had been started there; None leaves the path as it is.

    Raises:
        ValueError: there is none, or it is not a method; the text names everything that is wrong.
    """
    spelled = _NAME.fullmatch(name)
    if spelled is None or len(name) > LONGEST_NAME:
        raise ValueError(f"{name[:60]!r} is not module:Class: write such as mine:Mine for the class Mine of mine.py")
    if code_root is not None and str(code_root) not in sys.path:
        sys.path.insert(0, str(code_root))
    module = _imported(spelled[1], code_root)
    found: Any = getattr(module, spelled[2], None)
    if found is None:
        raise ValueError(f"{name}: {_absent(module, spelled[2])}")
    if faults := list(class_faults(found)):
        raise ValueError(f"{name}: {'; '.join(faults)}")
    chosen: type[Method] = found
    return chosen


def _imported(name: str, code_root: Path | None) -> ModuleType:
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
    """The module's own error, with the line of the user's that raised it."""
    lines = [f for f in traceback.extract_tb(fault.__traceback__) if code_root and _is_under(f.filename, code_root)]
    at = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    own = " ".join(str(fault).split()) or "without a word"
    return f"{name} cannot be imported: {type(fault).__name__}: {own}{at}; try python -c 'import {name}'"


def _is_under(file: str, folder: Path) -> bool:
    return Path(file).is_relative_to(folder)


def _absent(module: ModuleType, attribute: str) -> str:
    """Which class there is instead, and of which file, which may be another than the user meant."""
    classes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Method)]
    mine = [key for key in classes if vars(module)[key].__module__ == module.__name__]
    there = f"its methods are {', '.join(mine)}" if mine else "it defines no method"
    file = getattr(module, "__file__", None) or "built in"
    return f"module {module.__name__} ({file}) has no {attribute}{nearest(attribute, mine)}; {there}"
