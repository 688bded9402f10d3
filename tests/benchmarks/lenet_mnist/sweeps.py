"""The sweeps behind the table: ordinary sweep files, run by the command in turns until the time is spent.

Every file of this folder is a sweep, `NETWORK--WHAT.yaml`; `shifts` and `distilled` in its name say what helps it. A
sweep that is there already goes on where it was; one whose file says something else now is refused by the command.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.trainables.point import Point, by_training
from sparsweep.trainables.record import TrialRecord, TrialStore
from tests.benchmarks.lenet_mnist.claims import Cut, Setting
from tests.benchmarks.machine import quiet_environment

FILES = Path(__file__).parent
TURN_MINUTES = 15.0
"""For so long a sweep searches before it is the next one's turn."""
HELP = ("shifts", "distilled")


class FailedSweepError(RuntimeError):
    """The command ended with a fault; what it said is on the screen."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """One sweep of the benchmark."""

    file: Path

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def network(self) -> str:
        return self.name.partition("--")[0]

    @property
    def help(self) -> str:
        """What its training has beside the plain images and labels."""
        return " and ".join(word for word in HELP if word in self.name.partition("--")[2].split("-")) or "none"


def campaigns(networks: Sequence[str]) -> list[Campaign]:
    """The sweeps of these networks, by name."""
    found = [Campaign(file=path) for path in sorted(FILES.glob("*--*.yaml"))]
    return [each for each in found if each.network in networks]


def work(todo: Sequence[Campaign], home: Path, data_root: str, minutes: float) -> None:
    """Lets the sweeps search in turns until the minutes are spent or all have ended.

    Raises:
        FailedSweepError: a sweep cannot be run or gone on with.
    """
    end, waiting = time.monotonic() + 60 * minutes, list(todo)
    while waiting and (left := (end - time.monotonic()) / 60) > 0.5:
        campaign = waiting.pop(0)
        turn = min(left, TURN_MINUTES)
        print(f"… {campaign.name}, {turn:.0f} of {left:.0f} minutes", file=sys.stderr, flush=True)
        if not _turn(campaign, home, data_root, turn):
            waiting.append(campaign)


def _turn(campaign: Campaign, home: Path, data_root: str, minutes: float) -> bool:
    """One turn of one sweep; whether all of its trials have ended."""
    command = [sys.executable, "-m", "sparsweep.search.cli"]
    words = ["run", str(campaign.file), "--data-root", data_root, "--time-limit", f"{60 * minutes:.0f}s"]
    done = subprocess.run([*command, *words], env=quiet_environment(SPARSWEEP_HOME=str(home)), check=False)
    if done.returncode not in (0, 1):  # 1: no point on the front yet
        raise FailedSweepError(f"{campaign.name} ended with {done.returncode}")
    sweep, where = folder_of(campaign, home).read()
    return folder_of(campaign, home).store(where).ended() >= sweep.budget.trials


def folder_of(campaign: Campaign, home: Path) -> SweepFolder:
    return SweepFolder(home / "sweeps" / campaign.name)


def settings(campaign: Campaign, home: Path, seeds: int) -> Iterator[Setting]:
    """What of a sweep was trained with so many seeds or more."""
    folder = folder_of(campaign, home)
    if not folder.exists():
        return
    _, where = folder.read()
    store = folder.store(where)
    for record in store.records():
        trainings = by_training(record.points)
        if len(trainings) >= seeds:
            yield _setting(campaign, store, record, trainings)


def _setting(
    campaign: Campaign, store: TrialStore, record: TrialRecord, trainings: Sequence[tuple[Point, ...]]
) -> Setting:
    path = store.folder(record.number).path
    return Setting(
        sweep=campaign.name, trial=record.number, network=campaign.network, method=record.method, help=campaign.help,
        granularity=str(record.setting.get("granularity", "weight")),
        attention=float(record.setting.get("attention_strength", 0.0)),
        trainings=tuple(tuple(_cut(point, path) for point in points if point.network) for points in trainings),
        hours=sum(record.seconds.values()) / 3600,
    )  # fmt: skip


def _cut(point: Point, trial: Path) -> Cut:
    return Cut(
        name=point.cut, accuracy=point.accuracy, weights_left=point.weights_left, macs=point.macs,
        macs_ideal=point.macs_ideal, network=trial / str(point.network),
    )  # fmt: skip
