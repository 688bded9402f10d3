"""Pictures of a study by Optuna's own functions, as data for plotly, in which no text of a user is markup."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

DIGITS = 6
"""Significant digits of a drawn number."""


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
        for at, target in enumerate(self.targets):
            yield self._picture(
                f"what {target} depends on", self._too_few(),
                lambda at=at, target=target: optuna.visualization.plot_param_importances(  # type: ignore[misc]
                    self.study, evaluator=_evaluator(), target=_value(at), target_name=target
                ),
            )  # fmt: skip
        for title, draw in (
            ("settings and {}", optuna.visualization.plot_parallel_coordinate),
            ("{} by knob", optuna.visualization.plot_slice),
        ):
            for at, target in enumerate(self.targets):
                yield self._picture(
                    title.format(target), "" if self.trials else "no trial is done yet",
                    lambda at=at, target=target, draw=draw: draw(self.study, target=_value(at), target_name=target),  # type: ignore[misc]
                )  # fmt: skip

    def _importance(self, at: int) -> dict[str, float] | str:
        if note := self._too_few():
            return note
        try:
            with _quietly():
                shares = get_param_importances(self.study, evaluator=_evaluator(), target=_value(at))
                return {unescape(name): float(share) for name, share in shares.items()}
        except (ValueError, RuntimeError) as fault:
            return f"cannot be computed: {str(fault).splitlines()[0]}"

    def _too_few(self) -> str:
        few = self.trials < 2
        return f"trials that are done: {self.trials}; what a value depends on can be said from two on" if few else ""

    def _picture(self, title: str, note: str, draw: Callable[[], Any]) -> Picture:
        if note:
            return Picture(title=title, note=note)
        try:
            with _quietly():
                return Picture(title=title, figure=_plain(draw()))
        except (ValueError, RuntimeError) as fault:
            return Picture(title=title, note=f"cannot be drawn: {str(fault).splitlines()[0]}")


def _evaluator() -> FanovaImportanceEvaluator:
    return FanovaImportanceEvaluator(seed=0)


def _value(at: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: float(trial.values[at])


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
