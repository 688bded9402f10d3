"""What the API takes and gives, as documented at /api/openapi.json. Shares are in [0, 1], times in ms since 1970."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sparsweep.search.pick import Best

Name = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="of a sweep")


class Given(BaseModel):
    """The body of a request: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _whole(value: Any) -> Any:
    """5.0 is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Trials = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_whole)]


class SweepState(BaseModel):
    """How far a sweep is."""

    sweep: str
    state: Literal["running", "finished", "stopped", "unreadable"]
    done: int = 0
    stopped_early: int = 0
    failed: int = 0
    trials: int = Field(default=0, description="that the budget allows")
    running: int = 0
    phase: str | None = Field(default=None, description="what its driver was doing when it last said so")
    slots: int | None = Field(default=None, description="how many trials its resources hold at once")
    left_s: float | None = Field(default=None, description="expected seconds until its trials are done")
    best_accuracy: float | None = None
    hypervolume: float | None = Field(default=None, description="accuracy x the first axis, above (0, 0)")
    reasons: dict[str, int] = Field(default={}, description="why trials failed, and how many")
    spent: dict[str, Any] = {}
    ended: str | None = None
    changed_ms: int | None = Field(default=None, description="when its driver last wrote how far it is")
    fault: str | None = Field(default=None, description="why it cannot be read")


class Reached(BaseModel):
    """How far a sweep was when a trial ended."""

    trials: int = Field(description="ended by then")
    ended_ms: int
    hypervolume: float


class SweepDetail(SweepState):
    """A sweep with what it searches."""

    text: str = Field(description="its sweep file, every default written out")
    objectives: dict[str, str]
    axes: list[str] = Field(description="that stand for the objectives while it searches")
    constraints: list[str]
    model: str
    history: list[Reached] = Field(description="in the order of ending")
    failures: list[dict[str, Any]] = Field(description="trials that failed: number, reason, ended_ms")
    published: list[dict[str, Any]] = Field(description="points of the literature for this network and data")


class Columns(BaseModel):
    """Points of a sweep, a list a figure; null where one was not measured."""

    version: int
    since: int
    count: int
    columns: dict[str, list[Any]]
    trials: dict[str, dict[str, Any]]
    damaged: dict[str, str] = Field(description="trials whose record cannot be read, and why")
    front: list[int]
    hypervolume: float
    timed: list[str] = Field(description="how the speedups of the frontier were measured")


class Layer(BaseModel):
    """What is left of one layer."""

    name: str
    inputs: int
    outputs: int
    dense_inputs: int
    dense_outputs: int
    macs: int
    dense_macs: int


class PointDetail(BaseModel):
    """One point with everything that is known of it."""

    id: str
    point: dict[str, Any]
    figures: dict[str, float] = Field(description="every number that was measured, by name")
    layers: list[Layer] = Field(description="empty where its network was not kept")
    epochs: list[dict[str, Any]]
    command: str = Field(description="shows the same in a terminal")


class Text(Given):
    """A sweep file as text."""

    text: str = Field(max_length=1 << 20)


class SweepFault(BaseModel):
    """One thing that is wrong with a sweep file."""

    line: int | None
    place: str
    text: str


class Checked(BaseModel):
    """What a sweep file says, or what is wrong with it."""

    name: str | None
    exists: bool = Field(default=False, description="whether there is a sweep of this name already")
    conflict: str | None = Field(default=None, description="why a sweep that is there cannot be gone on with by it")
    faults: list[SweepFault]


class Budget(Given):
    """How far a sweep is gone on with; null leaves it as it is."""

    trials: Trials | None = None
    time_limit: str | None = Field(default=None, max_length=32)


class Address(Given):
    """A cluster's job server."""

    text: str = Field(max_length=1 << 20)
    address: str = Field(max_length=2048)


class Started(BaseModel):
    """A command that was begun for the page."""

    sweep: str
    state: Literal["starting", "running", "ended"]
    code: int | None = None
    said: str = Field(default="", description="the last of what it wrote")
    command: str


class Wish(Given):
    """What a version is picked by."""

    where: list[str] = Field(default=[], max_length=20)
    best: Best | None = Field(default=None, description="knee where it is null")
    device: str | None = Field(default=None, description="whose latencies count; null for each version's own")


class Version(BaseModel):
    """A registered network."""

    model: str
    version: str
    figures: dict[str, float]
    frontier: bool
    aliases: list[str]
    point: str | None
    run_id: str | None
    device: str | None
    fingerprint: str | None
    latency: list[dict[str, Any]] = Field(default=[], description="records of all devices")


class Picked(BaseModel):
    """A pick with its reason, or why nothing fits."""

    version: Version | None
    reason: str
    next_best: str = ""
    misses: list[dict[str, str]] = []
    command: str
    snippet: str = ""


class Model(BaseModel):
    """A registered model."""

    model: str
    versions: list[Version]
    aliases: dict[str, str]
    devices: list[str] = Field(description="on which versions were measured")
    history: list[dict[str, Any]] = Field(description="alias, version and when it came to name it, newest first")
    mlflow: str | None = Field(description="address of MLflow's own page, where it has one")
    look: str = Field(default="", description="the command that shows the runs in MLflow, where no server is up")


class Alias(Given):
    """Which version an alias shall name."""

    version: str = Field(pattern=r"^[0-9]{1,9}$")


class Export(Given):
    """In which format a version is wished for."""

    format: Literal["safetensors", "pt2", "onnx", "all"] = "safetensors"
