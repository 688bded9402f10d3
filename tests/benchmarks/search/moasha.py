"""Syne Tune's MOASHA on its local backend. Run by the Python of Syne Tune's own virtual environment, which has nothing
of sparsweep: the space comes as JSON, and trials run under the Python that is named."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.scheduler import TrialSuggestion
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

REDUCTION = 3
POLL_S = 0.1
"""Between two looks for results; Syne Tune's own 5 s would leave slots idle."""


def domain(kind: str, *bounds: Any) -> Any:
    """A range in Syne Tune's words."""
    makers = {"uniform": uniform, "loguniform": loguniform, "randint": randint, "lograndint": lograndint}
    return choice(list(bounds)) if kind == "choice" else makers[kind](*bounds)


class KnownGoodFirst(MOASHA):  # type: ignore[misc]
    """MOASHA, which draws at random and takes no first settings, given them."""

    def __init__(self, first: list[dict[str, Any]], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.first = first

    def suggest(self) -> Any:
        suggestion = super().suggest()
        if self.first:
            return TrialSuggestion.start_suggestion({**suggestion.config, **self.first.pop(0)})
        return suggestion


def main() -> int:
    """Tunes without end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("orders", type=Path, help="JSON: space, first, epochs, seed, slots, folder, python, script")
    orders = json.loads(parser.parse_args().orders.read_text())
    np.random.seed(orders["seed"])
    space = {name: domain(*words) for name, words in orders["space"].items()}
    scheduler = KnownGoodFirst(
        orders["first"], space, metrics=["accuracy", "removed"], do_minimize=False, time_attr="epoch",
        max_t=orders["epochs"], grace_period=max(1, orders["epochs"] // 4), reduction_factor=REDUCTION,
        random_seed=orders["seed"],
    )  # fmt: skip
    Tuner(
        trial_backend=LocalBackend(entry_point=orders["script"], binary=orders["python"], pass_args_as_json=True),
        scheduler=scheduler, stop_criterion=StoppingCriterion(max_wallclock_time=10**9), n_workers=orders["slots"],
        sleep_time=POLL_S, max_failures=10**9, save_tuner=False, trial_backend_path=orders["folder"],
    ).run()  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
