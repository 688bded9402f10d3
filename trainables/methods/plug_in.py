"""A user's own method, `module:Class`: found from a folder, imported, and asked whether it is a method.

Nothing but a name that is written in this form ever imports a user's code.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

from sparsweep.spaces.faults import nearest
from sparsweep.trainables.methods.method import Method
from sparsweep.trainables.methods.plug_in_faults import class_faults
from sparsweep.trainables.own_code import imported, spelled


def plug_in(name: str, code_root: Path | None) -> type[Method]:
    """The class that a `module:Class` stands for.

    Args:
        code_root: put first on `sys.path`, as if Python had been started there; None leaves the path as it is.

    Raises:
        ValueError: there is none, or it is not a method; the text names everything that is wrong.
    """
    parts = spelled(name)
    if parts is None:
        raise ValueError(f"{name[:60]!r} is not module:Class: write such as mine:Mine for the class Mine of mine.py")
    module = imported(parts[0], code_root)
    found: Any = getattr(module, parts[1], None)
    if found is None:
        raise ValueError(f"{name}: {_absent(module, parts[1])}")
    if faults := list(class_faults(found)):
        raise ValueError(f"{name}: {'; '.join(faults)}")
    chosen: type[Method] = found
    return chosen


def _absent(module: ModuleType, attribute: str) -> str:
    """Which class there is instead, and of which file, which may be another than the user meant."""
    classes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Method)]
    mine = [key for key in classes if vars(module)[key].__module__ == module.__name__]
    there = f"its methods are {', '.join(mine)}" if mine else "it defines no method"
    file = getattr(module, "__file__", None) or "built in"
    return f"module {module.__name__} ({file}) has no {attribute}{nearest(attribute, mine)}; {there}"
