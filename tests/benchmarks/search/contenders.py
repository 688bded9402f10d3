"""Who is compared, and how each is started. A contender of ours is a sweep file; a peer is a module of this folder."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from sparsweep.spaces.space import Choice, Float, Int
from tests.benchmarks.machine import root
from tests.benchmarks.search.contest import ZERO, Contest, parameter, parameters_of
from tests.benchmarks.watched_sweep import sparsweep

MANY = 100_000
"""Trials that a sweep may run: the time ends it."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to search."""

    name: str
    about: str
    module: str | None = None
    """Of a peer; None is `sparsweep run`."""
    options: tuple[str, ...] = ()
    """Of the module, or of `sparsweep run`."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What the sweep file of ours says otherwise than the preset; None takes a key out."""
    wrapper: str | None = None
    """Module of this folder by which `sparsweep` is run, otherwise than it is."""
    our_trial: bool = False
    """A peer that runs our whole descent: it tells what the trial gives from what the search gives."""

    @property
    def is_alternative(self) -> bool:
        """Whether it is what a user would do without sparsweep."""
        return self.module is not None and not self.our_trial


OURS = Contender(name="sparsweep", about="`sparsweep run`, as a user runs it")
PEERS = (
    Contender(
        name="ray-optuna", module="ray_tune", options=("--scheduler", "none"),
        about="Ray Tune, function trainable, multi-objective OptunaSearch, MLflow callback; one point a trial",
    ),
    Contender(
        name="ray-asha", module="ray_tune", options=("--scheduler", "asha"),
        about="Ray Tune, OptunaSearch and ASHA on the mean of both, a result an epoch",
    ),
    Contender(
        name="optuna", module="optuna_alone", options=("--sampler", "tpe"),
        about="Optuna alone, multi-objective TPE, workers on one SQLite; one point a trial",
    ),
    Contender(name="moasha", module="moasha", about="Syne Tune's MOASHA, local backend, a result an epoch"),
    Contender(
        name="random", module="optuna_alone", options=("--sampler", "random"),
        about="random search through Optuna, workers on one SQLite; one point a trial",
    ),
    Contender(
        name="optuna-descent", module="optuna_alone", options=("--sampler", "tpe", "--descent", "nested"),
        about="Optuna alone running our whole trial; TPE on what `sparsweep run` values a curve by", our_trial=True,
    ),
)  # fmt: skip
CONTENDERS = (OURS, *PEERS)


def _ablation(name: str, about: str, *options: str, wrapper: str | None = None, **overrides: Any) -> Contender:
    about = f"sparsweep with {about}"
    return Contender(name=name, about=about, options=options, overrides=overrides, wrapper=wrapper)


ABLATIONS = (
    _ablation("descent-none", "one point a trial (`descent: none`)", trial={"descent": "none"}),
    _ablation("few-cuts", "4 cuts a descent", trial={"cuts": 4}),
    _ablation("no-finetuning", "no fine-tuning after a cut", trial={"finetune_epochs": 0}),
    _ablation("no-look", "no first look", budget={"first_look": None, "first_look_batch": None}),
    _ablation("no-stopping", "no descent ends early", stopping=None),
    _ablation("halving", "early stopping by successive halving", stopping={"rule": "halving"}),
    _ablation("sampler-tpe", "TPE from all rows after ten at random", sampler={"name": "tpe"}),
    _ablation("sampler-random", "random proposals instead of TPE", sampler={"name": "random"}),
    _ablation("sampler-nsga2", "NSGA-II instead of TPE", sampler={"name": "nsga2"}),
    _ablation("method-random", "random filters or weights cut instead of the method", methods=["random"], space=None),
    _ablation("no-known-good", "no setting that is known to be good to begin with", wrapper="without_known_good"),
    _ablation("no-forerunners", "no trial begun before Ray is there", wrapper="without_forerunners"),
    _ablation("no-reuse", "a new process for every trial, and none before Ray is there", wrapper="without_reuse"),
    _ablation("inline", "trials in the driver's process, without Ray: one slot", "--inline"),
)
"""Sweep-file overrides by name: one more row is one more ablation."""


SHOWS = (
    "ui", "notebook.py", "notebook_html.py", "tutorial.ipynb", "doctor.py", "export.py", "model_card.py",
    "model_commands.py", "listing.py", "sweep_report.py", "measuring.py", "meter.py", "__pycache__",
)  # fmt: skip
"""Of the folder `search`: what times, shows or picks what a sweep found, and runs in none."""
ASIDE = (
    "spaces/presets",  # what is given of them is among a run's settings
    "trainables/delivery",
    *(f"trainables/measures/{name}.py" for name in ("latency", "runtimes", "side_by_side")),
    *(
        f"trainables/methods/{name}.py"
        for name in ("abp", "abp_gate", "anp", "anp_competition", "anp_evidence", "aswl")
    ),
    *(f"trainables/methods/{name}.py" for name in ("gss", "l0", "surgery")),
    *(f"trainables/tasks/{name}.py" for name in ("cifar_networks", "image_folder", "own_data", "own_network")),
    *(f"trainables/tasks/{name}.py" for name in ("streamed", "torchvision_data", "torchvision_import")),
    "trainables/tasks/torchvision_networks.py",
)
"""What no trial of the benchmark's tasks comes to: other methods, networks and data, timing, export."""


def aside_of(contender: Contender) -> tuple[str, ...]:
    """Of these sources what changes none of its runs."""
    return ASIDE if contender.module is None else (*ASIDE, "trainables/look.py")


def sources_of(contender: Contender) -> tuple[str, ...]:
    """Folders and files of this repository that a run of it depends on."""
    here = "tests/benchmarks/search"
    if contender.module is None:
        wrapper = [f"{here}/{contender.wrapper}.py"] if contender.wrapper else []
        search = (f"search/{path.name}" for path in sorted((root() / "search").iterdir()) if path.name not in SHOWS)
        return ("spaces", "trainables", *search, f"{here}/one_run.py", *wrapper)
    own = [f"{here}/{name}.py" for name in ("one_run", "one_trial", "contest", contender.module)]
    trial = [f"{here}/moasha_trial.py"] if contender.module == "moasha" else []
    return ("spaces", "trainables", "search/curve.py", "search/dominance.py", "search/worth.py", *own, *trial)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The sweep file's data with what is said otherwise, key by key; None takes a key out.

    >>> merged({"trial": {"cuts": 16, "descent": "nested"}, "space": {}}, {"trial": {"cuts": 4}, "space": None})
    {'trial': {'cuts': 4, 'descent': 'nested'}}
    """
    found = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = merged(found[key], value)
        else:
            found[key] = value
    return {key: value for key, value in found.items() if value is not None}


def sweep_text(contender: Contender, preset: str) -> str:
    """The sweep file of a contender of ours: the preset's own text where nothing is said otherwise."""
    text = (resources.files("sparsweep.spaces.presets") / f"{preset}.yaml").read_text("utf-8")
    if not contender.overrides:
        return text
    return yaml.safe_dump(merged(yaml.safe_load(text), contender.overrides), sort_keys=False)


def differs(contender: Contender, preset: str) -> bool:
    """Whether an ablation changes anything of a preset."""
    plain, changed = (yaml.safe_load(sweep_text(each, preset)) for each in (OURS, contender))
    return bool(contender.options or contender.wrapper or changed != plain)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the contenders of one benchmark are started with."""

    preset: str
    minutes: float
    data_root: str | None
    syne_tune: Path | None
    """The Python of Syne Tune's environment; None where it could not be made."""


def command_of(contender: Contender, contest: Contest, start: Start) -> list[str]:
    """The command line; what it reads is written into the contest's folder."""
    if contender.module is None:
        return _sweep_command(contender, contest, start)
    if contender.module == "moasha":
        script = Path(__file__).with_name("moasha.py")
        return [str(start.syne_tune), str(script), str(_moasha_orders(contest))]
    return [sys.executable, "-m", f"tests.benchmarks.search.{contender.module}", str(contest.write()),
            *contender.options]  # fmt: skip


def _sweep_command(contender: Contender, contest: Contest, start: Start) -> list[str]:
    source = start.preset
    if contender.overrides:
        path = Path(contest.folder) / f"{start.preset}.yaml"
        path.write_text(sweep_text(contender, start.preset))
        source = str(path)
    data = ["--data-root", start.data_root] if start.data_root else []
    limit = ["--time-limit", f"{60 * start.minutes:g}s", "--trials", str(MANY)]
    wrapper = f"tests.benchmarks.search.{contender.wrapper}"
    command = [sys.executable, "-m", wrapper] if contender.wrapper else [sparsweep()]
    return [*command, "run", source, "--seed", str(contest.seed), *limit, *data, *contender.options]


def _moasha_orders(contest: Contest) -> Path:
    space = contest.space()
    words: dict[str, list[Any]] = {"contest": ["choice", str(contest.write())]}
    for knob in space.knobs:
        words |= _syne_tune_range(parameter(knob.label), knob.range)
    orders = {
        "space": words, "first": [parameters_of(space, row) for row in contest.known_good], "epochs": contest.epochs,
        "seed": contest.seed, "slots": contest.slots, "folder": str(Path(contest.folder) / "trials"),
        "python": sys.executable, "script": str(Path(__file__).with_name("moasha_trial.py")),
    }  # fmt: skip
    path = Path(contest.folder) / "orders.json"
    path.write_text(json.dumps(orders))
    return path


def _syne_tune_range(name: str, allowed: Float | Int | Choice) -> dict[str, list[Any]]:
    """The range in the words of `moasha.domain`; a knob that may be exactly 0 has a switch beside it."""
    if isinstance(allowed, Choice):
        return {name: ["choice", *allowed.choices]}
    if isinstance(allowed, Int):
        return {name: ["lograndint" if allowed.log else "randint", allowed.low, allowed.high]}
    switch = {name + ZERO: ["choice", False, True]} if allowed.or_zero else {}
    return {**switch, name: ["loguniform" if allowed.log else "uniform", allowed.low, allowed.high]}
