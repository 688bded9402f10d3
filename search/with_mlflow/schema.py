"""Of which MLflow are a database's tables? Read without importing mlflow, and without changing anything."""

import importlib.util
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

QUESTION: Final = "SELECT version_num FROM alembic_version"
"""Gives the revision; a database without that table has none, and MLflow makes its tables there."""
_REVISION: Final = re.compile(r"""^revision\s*(?::\s*str\s*)?=\s*["'](\w+)["']""", re.MULTILINE)
_BEFORE: Final = re.compile(r"""^down_revision\s*(?::[^=]+)?=\s*["'](\w+)["']""", re.MULTILINE)


@cache
def revisions() -> tuple[frozenset[str], str]:
    """All revisions that this MLflow knows, and its own."""
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "store" / "db_migrations" / "versions"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    known = frozenset(found[1] for text in texts if (found := _REVISION.search(text)))
    newest = sorted(known - {found[1] for text in texts if (found := _BEFORE.search(text))})
    assert len(newest) == 1, f"MLflow's revisions {newest} have no order"
    return known, newest[0]


def schema_fault(found: str | None, shown: str) -> str | None:
    """Why tables of this revision cannot be used; None where they can, or there are none yet.

    Args:
        found: the revision in the database.
        shown: its URI, without a password.
    """
    known, own = revisions()
    if found is None or found == own:
        return None
    said = f"its tables have MLflow's schema {found}; MLflow {version('mlflow')}, which is installed, has {own}"
    if found in known:
        return f"{said}: back the database up, then run mlflow db upgrade '{shown}', or use the MLflow that made it"
    return f"{said} and does not know the other: use the newer MLflow that made it, or another database"
