"""The study of a sweep, and pictures of it. The only importer of optuna."""

from sparsweep.search.with_optuna.pictures import Picture, StudyView
from sparsweep.search.with_optuna.study import (
    OUTAGES,
    Outcome,
    PointsStudy,
    Study,
    delete,
    open_storage,
    reason_of,
    without_password,
)

__all__ = [
    "OUTAGES",
    "Outcome",
    "Picture",
    "PointsStudy",
    "Study",
    "StudyView",
    "delete",
    "open_storage",
    "reason_of",
    "without_password",
]
