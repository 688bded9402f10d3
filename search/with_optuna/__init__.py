"""The study: what was proposed and what came of it, and pictures of it. The only importer of optuna.

One row a network: by default its value is what its own curve is worth (`curve.curve_value`), which is stationary.
Sixteen rows a network, one a cut, found curves of 0.949 on recorded trials of the digits where one row found 0.956, and
after twelve trials a hypervolume of 0.956 against 0.970 (means of 20 seeds, `python -m tests.benchmarks.observations`).
With `descent: none` a row is one point and the study is multi-objective. Pictures are imported by themselves
(`with_optuna.pictures`): they take seconds to import.
"""

import warnings

import optuna

from sparsweep.search.with_optuna.points_study import PointsStudy
from sparsweep.search.with_optuna.proposer import Told
from sparsweep.search.with_optuna.storage import OUTAGES, delete, open_storage, reason_of, without_password
from sparsweep.search.with_optuna.study import Outcome, Study

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning, module=r"sparsweep\..*|optuna\..*")

__all__ = [
    "OUTAGES", "Outcome", "PointsStudy", "Study", "Told", "delete", "open_storage", "reason_of", "without_password",
]  # fmt: skip
