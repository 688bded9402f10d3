"""Where results are printed."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """The terminal at its own width; 110 columns where output goes elsewhere."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=110)
