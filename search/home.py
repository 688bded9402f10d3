"""Where a sweep's state lies: `.sparsweep/`, found upward from the working directory as git does.

.sparsweep/
  mlflow.db  artifacts/     MLflow's records and models      (unless --tracking-uri)
  studies.db                Optuna's studies                 (unless --study-storage)
  latency.json              what the meter has measured
  sweeps/NAME/              sweep.json, trials/, frontier.json|png|html, lock, ray/
"""

import os
from dataclasses import dataclass
from pathlib import Path

FOLDER = ".sparsweep"


@dataclass(frozen=True)
class Home:
    """The folder that holds the embedded state."""

    path: Path

    @classmethod
    def find(cls) -> "Home":
        """SPARSWEEP_HOME, or the nearest `.sparsweep` upward, or one in the working directory (not made yet)."""
        if named := os.environ.get("SPARSWEEP_HOME"):
            return cls(Path(named).expanduser().resolve())
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / FOLDER).is_dir():
                return cls(folder / FOLDER)
        return cls(here / FOLDER)

    def sweep(self, name: str) -> Path:
        return self.path / "sweeps" / name

    def sweeps(self) -> list[str]:
        """Names of the sweeps that lie here."""
        return sorted(path.parent.name for path in self.path.glob("sweeps/*/sweep.json"))

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.path / 'mlflow.db'}"

    @property
    def study_storage(self) -> str:
        return f"sqlite:///{self.path / 'studies.db'}"
