"""Pictures of a study by Optuna's own functions, as data for plotly, in which no text of a user is markup."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape, unescape
from typing import Any

import optuna
from optuna import visualization
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

DIGITS = 6
"""Significant digits of a drawn number."""
MOST_LINES = 300
"""Of parallel coordinates; more cannot be told apart, and each takes half a kilobyte."""
IMPORTANCE = "share of each knob in being among the best tenth of the trials (PED-ANOVA)"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of plotly's as plain data, or why there is none."""

    title: str
    figure: Mapping[str, Any] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """The trials of a study that have values, by themselves in memory; texts escaped for plotly."""

    study: optuna.Study
    targets: tuple[str, ...]
    """What its values are called, in their order."""

    @classmethod
    def open(cls, storage: optuna.storages.BaseStorage, name: str, words: Mapping[str, str]) -> "StudyView":
        """A sweep's study as it is now; empty where the storage has none of this name.

        Args:
            words: how to speak of values, by their names in the study.
        """
        if name not in optuna.get_all_study_names(storage):
            return cls(study=optuna.create_study(), targets=("value",))
        kept = optuna.load_study(study_name=name, storage=storage)
        names = kept.metric_names or [f"value {at}" for at in range(len(kept.directions))]
        shown = optuna.create_study(directions=kept.directions)
        done = kept.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        shown.add_trials(_harmless(trial) for trial in done)
        return cls(study=shown, targets=tuple(words.get(each, each) for each in names))

    @property
    def trials(self) -> int:
        return len(self.study.get_trials(deepcopy=False))

    def importances(self) -> dict[str, dict[str, float] | str]:
        """By value the share of each knob in it, the largest first; or a sentence that says why nothing can be said."""
        return {target: self._importance(at) for at, target in enumerate(self.targets)}

    def pictures(self) -> Iterator[Picture]:
        """Importances, parallel coordinates and slices, of each value in turn."""
        some = "" if self.trials else "no trial is done yet"
        for at, target in enumerate(self.targets):
            yield _picture(f"what {target} depends on", self._unsayable(at), IMPORTANCE, partial(self._bars, at))
        for at, target in enumerate(self.targets):
            most = f"{MOST_LINES} of {self.trials} trials, evenly from the best to the worst"
            note = most if self.trials > MOST_LINES else ""
            yield _picture(f"settings and {target}", some, note, partial(self._lines, at))
        for at, target in enumerate(self.targets):
            yield _picture(f"{target} by knob", some, "", partial(self._slices, at))

    def _bars(self, at: int) -> Any:
        return visualization.plot_param_importances(
            self.study, evaluator=PedAnovaImportanceEvaluator(), target=_negative(at), target_name=self.targets[at]
        )

    def _lines(self, at: int) -> Any:
        ranked = sorted(self.study.get_trials(deepcopy=False), key=lambda trial: -trial.values[at])
        step = max((len(ranked) - 1) / (MOST_LINES - 1), 1.0)
        chosen = optuna.create_study(directions=self.study.directions)
        chosen.add_trials(ranked[round(number * step)] for number in range(min(len(ranked), MOST_LINES)))
        return visualization.plot_parallel_coordinate(chosen, target=_value(at), target_name=self.targets[at])

    def _slices(self, at: int) -> Any:
        return visualization.plot_slice(self.study, target=_value(at), target_name=self.targets[at])

    def _importance(self, at: int) -> dict[str, float] | str:
        if note := self._unsayable(at):
            return note
        try:
            with _quietly():
                shares = get_param_importances(
                    self.study, evaluator=PedAnovaImportanceEvaluator(), target=_negative(at)
                )
                return {unescape(name): float(share) for name, share in shares.items()}
        except (ValueError, RuntimeError) as fault:
            return f"cannot be computed: {str(fault).splitlines()[0]}"

    def _unsayable(self, at: int) -> str:
        """Why nothing can be said of what a value depends on; empty where it can."""
        trials = self.study.get_trials(deepcopy=False)
        if len(trials) < 2:
            return f"trials that are done: {len(trials)}; what a value depends on can be said from two on"
        if len({trial.values[at] for trial in trials}) < 2:
            return "it is the same in all trials: it depends on nothing that was searched"
        if all(allowed.single() for trial in trials for allowed in trial.distributions.values()):
            return "no knob has more than one value: there is nothing to depend on"
        return ""


def _picture(title: str, missing: str, note: str, draw: Callable[[], Any]) -> Picture:
    """What was drawn, or why it could not be."""
    if missing:
        return Picture(title=title, note=missing)
    try:
        with _quietly():
            return Picture(title=title, figure=_plain(draw()), note=note)
    except (ValueError, RuntimeError) as fault:
        return Picture(title=title, note=f"cannot be drawn: {str(fault).splitlines()[0]}")


def _value(at: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: float(trial.values[at])


def _negative(at: int) -> Callable[[FrozenTrial], float]:
    """PED-ANOVA takes the lowest for the best."""
    return lambda trial: -float(trial.values[at])


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of what is experimental or slow in Optuna."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _harmless(trial: FrozenTrial) -> FrozenTrial:
    """The trial with its texts as plotly must get them to show them as they are."""
    return create_trial(
        values=trial.values,
        params={escape(name): _shown(value) for name, value in trial.params.items()},
        distributions={escape(name): _harmless_range(allowed) for name, allowed in trial.distributions.items()},
    )


def _harmless_range(allowed: BaseDistribution) -> BaseDistribution:
    if isinstance(allowed, CategoricalDistribution):
        return CategoricalDistribution([_shown(choice) for choice in allowed.choices])
    return allowed


def _shown(value: Any) -> Any:
    return escape(value) if isinstance(value, str) else value


def _plain(figure: Any) -> dict[str, Any]:
    """What plotly draws, without its template, in as many digits as can be seen."""
    data: dict[str, Any] = json.loads(figure.to_json(engine="json"))
    data["layout"].pop("template", None)
    return {"data": _rounded(data["data"]), "layout": _rounded(data["layout"])}


def _rounded(part: Any) -> Any:
    if isinstance(part, float):
        return float(f"{part:.{DIGITS}g}")
    if isinstance(part, Mapping):
        return {name: _rounded(each) for name, each in part.items()}
    return [_rounded(each) for each in part] if isinstance(part, Sequence) and not isinstance(part, str) else part
