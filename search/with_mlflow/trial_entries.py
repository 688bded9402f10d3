"""A trial's record in MLflow's words: parameters, tags and metrics."""

from typing import TYPE_CHECKING

from sparsweep.trainables.point import by_training
from sparsweep.trainables.record import TrialRecord

if TYPE_CHECKING:
    from mlflow.entities import Metric

TEXT_LIMIT = 5000
"""Characters of a parameter or tag; MLflow refuses or cuts longer ones."""


def params_of(record: TrialRecord) -> dict[str, object]:
    return {**record.setting, "seed": record.seed}


def tags_of(record: TrialRecord) -> dict[str, str]:
    tags = {"sparsweep.state": record.state, "sparsweep.attempt": str(record.attempt)}
    tags |= {f"environment.{name}": text[:TEXT_LIMIT] for name, text in record.environment.items()}
    if record.reason is not None:
        tags |= {"sparsweep.reason": record.reason[:TEXT_LIMIT], "mlflow.note.content": record.reason[:TEXT_LIMIT]}
    return tags


def metric(name: str, value: float, at_ms: int, step: int) -> "Metric":
    """An entry of MLflow's metric table; its timestamp is the record's, so that logging it twice changes nothing."""
    from mlflow.entities import Metric

    return Metric(name, value, at_ms, step)


def metrics_of(record: TrialRecord, curve_value: float | None) -> "list[Metric]":
    """Curves by epoch; `cut/…` by position in the descent (`cut-weight/…` in a further one); the rest once."""
    rows = [(name, getattr(e, name), e.ended_ms, e.step) for e in record.epochs for name in ("loss", "accuracy")]
    for point in record.points:
        way, _, at = point.cut.rpartition("-")
        where, step = ("-".join(filter(None, ("cut", way))), int(at)) if at.isdigit() else (point.cut, 0)
        for name in ("accuracy", "sparsity", "macs_removed"):
            rows.append((f"{where}/{name}", getattr(point, name), point.at_ms or record.ended_ms, step))
        if point.spread and point.training == 0 and (deviation := point.spread.deviation("accuracy")) is not None:
            rows.append((f"{where}/accuracy_deviation", deviation, record.ended_ms, step))
    reached = [point.accuracy for point in record.points] or [epoch.accuracy for epoch in record.epochs]
    once = {f"seconds/{phase}": seconds for phase, seconds in record.seconds.items()}
    once |= {"points": len(record.points), "seeds": len(by_training(record.points))}
    once |= {"best_accuracy": max(reached)} if reached else {}
    once |= {} if curve_value is None else {"curve_hypervolume": curve_value}
    rows += [(name, value, record.ended_ms, 0) for name, value in once.items()]
    return [metric(*row) for row in rows]
