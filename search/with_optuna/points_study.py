"""The points of a sweep's curves in a study of their own, `NAME/points`: for optuna-dashboard, not for a sampler."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, create_trial

from sparsweep.search.with_optuna.rows import distributions, parameters
from sparsweep.search.with_optuna.writing import add_trials
from sparsweep.spaces.space import Row, Space


@dataclass(kw_only=True)
class PointsStudy:
    """Points of a sweep's curves as trials of the study `NAME/points`: for optuna-dashboard, not for a sampler."""

    study: optuna.Study
    space: Space
    _known: set[str] | None = None
    """Ids of the points that it has; None before it was read, and after an exception."""

    @classmethod
    def open(
        cls, storage: optuna.storages.BaseStorage, name: str, space: Space, *, objectives: Sequence[str]
    ) -> "PointsStudy":
        """Creates the second study or goes on with it. All objectives are maximised."""
        study = optuna.create_study(
            storage=storage, study_name=f"{name}/points", directions=["maximize"] * len(objectives),
            load_if_exists=True,
        )  # fmt: skip
        study.set_metric_names(list(objectives))
        return cls(study=study, space=space)

    def add(self, points: Iterable[tuple[str, Row, tuple[float, ...]]]) -> None:
        """Adds points (id, setting, values); those it has are left alone."""
        known = self._known
        if known is None:
            known = {str(t.user_attrs.get("point")) for t in self.study.get_trials(deepcopy=False)}
        self._known = None
        new = {name: _as_trial(self.space, name, row, values) for name, row, values in points if name not in known}
        if new:
            add_trials(self.study, list(new.values()))
        known.update(new)
        self._known = known


def _as_trial(space: Space, name: str, row: Row, values: tuple[float, ...]) -> FrozenTrial:
    """A point as a finished trial."""
    found, allowed = parameters(space, row), distributions(space)
    return create_trial(
        params=found, distributions={n: allowed[n] for n in found}, values=list(values), user_attrs={"point": name}
    )
