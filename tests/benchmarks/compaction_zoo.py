"""Every torchvision classification network, pruned at random and by norm, compacted, and compared with its masked self.

    python -m tests.benchmarks.compaction_zoo [--only resnet18,vit_b_16] [--ratio .3 .6] [--workers 2] [--minutes 15]
                                             [--folder DIR]

Networks have random numbers everywhere (also where torchvision starts at zero), small images where the architecture
allows, one thread, and a process of their own with limits on memory and processor time; the smallest go first. At the
first ratio filters are chosen at random, at the others by their norm, coupled ones together; and once each by itself.
Exit code 1 if any network differs from its masked self, or fewer than 20 are exact in a run over all.
"""

import argparse
import copy
import json
import multiprocessing
import re
import resource
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "compaction-zoo.md"
WANTED = 20
ALLOWED = 1e-4
MEMORY_BYTES = 14 << 30
LIMIT_S = 300
NOT_BEGUN = "not begun, the time was over"
PIXELS = {"vit_h_14": 56, "inception_v3": 96, "maxvit_t": 224}
"""Of one side; 64 for all others."""
MOST_WEIGHTS = 350e6
"""Larger ones do not fit: four copies, two of them in double precision."""
HEADERS = ("network", "pixels", "million weights", "million MACs", "removable layers", "ratio", "largest difference",
           "MACs", "weights", "s", "excluded")  # fmt: skip


def main() -> int:
    """Runs, prints, keeps the table."""
    options = _options()
    where = machine()
    every = _names()
    names = options.only.split(",") if options.only else every
    ends = time.monotonic() + 60 * options.minutes
    context = multiprocessing.get_context("fork")  # torch and torchvision are imported once, before
    with ThreadPoolExecutor(options.workers) as pool:
        found = list(pool.map(lambda name: _row(context, name, options, ends), names))
    lines = [line for row in found for line in _lines(row)]
    print(lines_as_text(HEADERS[:-1], [line[:-1] for line in lines], left=1))
    exact = [row["name"] for row in found if row["runs"] and all(run["difference"] <= ALLOWED for run in row["runs"])]
    wrong = [row["name"] for row in found if any(not run["difference"] <= ALLOWED for run in row["runs"])]
    remarks = _remarks(found, exact, wrong, options.ratio)
    print("\n".join(remarks))
    if names == every:
        command = "python -m tests.benchmarks.compaction_zoo"
        title = "Compaction over torchvision's networks"
        RESULTS.write_text(as_markdown(title, command, where, HEADERS, lines, remarks))
    return 1 if wrong or (names == every and len(exact) < WANTED) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names, separated by commas; default: all, and the table is kept")
    parser.add_argument("--ratio", type=float, nargs="+", default=[0.3, 0.6], help="shares of filters that are pruned")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=15.0, help="no network is begun after so many")
    parser.add_argument("--folder", type=Path, help="keeps each network's result here, and takes what is here already")
    return parser.parse_args()


def _names() -> list[str]:
    import sparsweep.trainables.compact.removal
    import sparsweep.trainables.measures.macs  # noqa: F401
    from sparsweep.trainables.tasks.torchvision_import import torchvision_datasets

    torchvision_datasets()
    import torchvision

    def weights(name: str) -> int:
        return int(torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"])

    return sorted(torchvision.models.list_models(module=torchvision.models), key=weights)


def _row(context: Any, name: str, options: argparse.Namespace, ends: float) -> dict[str, Any]:
    """One network's result: kept from an earlier run in pieces, or measured now."""
    if options.folder is None:
        return _apart(context, name, options.ratio, ends)
    kept = options.folder / f"{name} {options.ratio}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    row = _apart(context, name, options.ratio, ends)
    if row.get("failed") != NOT_BEGUN:
        options.folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(row))
    return row


def _apart(context: Any, name: str, ratios: list[float], ends: float) -> dict[str, Any]:
    """One network in a process of its own; what it found, or why it found nothing."""
    if time.monotonic() > ends:
        return {"name": name, "runs": [], "failed": NOT_BEGUN}
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, name, ratios))
    began = time.monotonic()
    process.start()
    theirs.close()
    try:
        row = mine.recv()
    except EOFError:
        row = {"failed": f"not done within {LIMIT_S} s of processor time"}
    process.join()
    print(f"{name}: {row.get('failed', 'done')} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return {"name": name, "runs": [], **row}


def _work(answer: Connection, name: str, ratios: list[float]) -> None:
    import torch

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        answer.send(measured(name, ratios))
    except MemoryError as fault:
        answer.send({"failed": f"no memory: {fault}"})
    except Exception as fault:  # whatever a network's code raises: it is a line of the table
        answer.send({"failed": f"{type(fault).__name__}: {str(fault).strip().splitlines()[0][:200]}"})


def measured(name: str, ratios: list[float]) -> dict[str, Any]:
    """One network: how much of it is removable, and how exact its compact forms are."""
    from sparsweep.trainables.compact.attention import split_attention
    from sparsweep.trainables.compact.coupling import couplings_of
    from sparsweep.trainables.groups import add_masks
    from sparsweep.trainables.measures.macs import count_macs
    from sparsweep.trainables.outline import lay_outline

    pixels = PIXELS.get(name, 64)
    shape = (3, pixels, pixels)
    net = _network(name, pixels)
    weights = sum(p.numel() for p in net.parameters())
    if weights > MOST_WEIGHTS:
        return {"failed": f"{weights / 1e6:.0f} million weights are too many for this machine"}
    began = time.perf_counter()
    couplings = couplings_of(split_attention(net), shape)
    seconds = time.perf_counter() - began
    lay_outline(net, couplings.outline)
    add_masks(net)
    macs = count_macs(net, shape).total
    plans = [(ratio, "random" if at == 0 else "norm", True) for at, ratio in enumerate(ratios)]
    plans.append((ratios[-1], "random", False))
    return {
        "pixels": pixels, "weights": weights, "macs": macs, "seconds": seconds,
        "coverage": [(covered.state, covered.reason) for covered in couplings.coverage],
        "runs": [_run(net, couplings, shape, macs, weights, plan) for plan in plans],
    }  # fmt: skip


def _network(name: str, pixels: int) -> Any:
    """Built at a fixed seed; what starts at zero or nearly so gets numbers too, or it would hide what is wrong."""
    import torch
    import torchvision
    from torch.nn.modules.batchnorm import _BatchNorm

    torch.manual_seed(0)
    more: dict[str, Any] = {"image_size": pixels} if name.startswith("vit") else {}
    net = torchvision.models.get_model(name, weights=None, **more).eval()
    with torch.no_grad():
        for path, parameter in net.named_parameters():
            if path.endswith("layer_scale"):
                parameter.uniform_(0.5, 1.5)
            elif not parameter.any():
                parameter.normal_(std=0.05)
        for module in net.modules():
            if isinstance(module, _BatchNorm):
                module.weight.uniform_(0.5, 1.5)
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 1.5)
    return net


def _run(base: Any, couplings: Any, shape: tuple[int, ...], macs: int, weights: int, plan: Any) -> dict[str, Any]:
    """Masks, removal, and the largest difference by the largest output."""
    import torch

    from sparsweep.trainables.compact.removal import compact
    from sparsweep.trainables.measures.macs import count_macs

    ratio, chosen_by, tied = plan
    net = copy.deepcopy(base)
    _mask(net, ratio, chosen_by, couplings.ties() if tied else {})
    began = time.perf_counter()
    compacted = compact(net, couplings)
    seconds = time.perf_counter() - began
    inputs = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, outputs = net(inputs), compacted.net(inputs)
    spread = float((expected - expected.mean(dim=1, keepdim=True)).abs().max())
    return {
        "ratio": ratio, "by": chosen_by + ("" if tied else ", each by itself"),
        "difference": float((expected - outputs).abs().max()) / spread, "seconds": seconds,
        "macs": count_macs(compacted.net, shape).total / macs,
        "weights": sum(p.numel() for p in compacted.net.parameters()) / weights,
    }  # fmt: skip


def _mask(net: Any, ratio: float, chosen_by: str, ties: Any) -> None:
    import torch

    from sparsweep.trainables.cut import cut, weight_masks
    from sparsweep.trainables.groups import group_norms, scored_layers, set_masks
    from sparsweep.trainables.scores import Scores

    source = torch.Generator().manual_seed(2)
    values = {
        name: torch.rand(len(layer.weight), generator=source)
        if chosen_by == "random"
        else group_norms(layer.weight.detach(), "filter")
        for name, layer in scored_layers(net, "filter").items()
    }
    scores = Scores(granularity="filter", values=values, own={}, threshold=0.0)
    keep = round((1 - ratio) * sum(len(v) for v in values.values()))
    set_masks(net, weight_masks(net, scores, cut(scores, keep, ties=ties)[0]))


def _lines(row: dict[str, Any]) -> list[tuple[str, ...]]:
    if not row["runs"]:
        return [(row["name"], *[""] * (len(HEADERS) - 2), row.get("failed", ""))]
    states = Counter(state for state, _ in row["coverage"])
    lines = []
    for at, run in enumerate(row["runs"]):
        first = (
            row["name"], str(row["pixels"]), f"{row['weights'] / 1e6:.1f}", f"{row['macs'] / 1e6:.0f}",
            f"{states['removable']} of {len(row['coverage']) - states['kept']}",
        )  # fmt: skip
        lines.append(
            (
                *(first if at == 0 else [""] * len(first)), f"{run['ratio']:g} {run['by']}", f"{run['difference']:.1e}",
                f"1/{1 / run['macs']:.2f}", f"1/{1 / run['weights']:.2f}",
                f"{row['seconds']:.1f} + {run['seconds']:.1f}" if at == 0 else f"{run['seconds']:.1f}",
                _reasons(row["coverage"]) if at == 0 else "",
            )
        )  # fmt: skip
    return lines


def _reasons(coverage: list[tuple[str, str]]) -> str:
    """The reasons of what is excluded, how often each, without the names of layers."""
    told = [reason.partition(";")[0] for state, reason in coverage if state == "excluded"]
    short = [re.sub(r" \(.*| before .*|(?<=^what ).*(?= reads)", "", reason) for reason in told]
    return "; ".join(f"{count} times: {reason.strip()}" for reason, count in Counter(short).most_common())


def _remarks(found: list[dict[str, Any]], exact: list[str], wrong: list[str], ratios: list[float]) -> list[str]:
    failed = [f"{row['name']} ({row['failed']})" for row in found if not row["runs"]]
    return [
        f"{len(exact)} of {len(found)} architectures exact at every ratio; {len(wrong)} wrong{': ' if wrong else ''}"
        f"{', '.join(wrong)}; {len(failed)} not measured{': ' if failed else ''}{', '.join(failed)}.",
        f"Exact: the largest |difference| on 4 random inputs, by the largest deviation of a logit from their mean, is "
        f"at most {ALLOWED:g} in float32. Random initialisation makes outputs of any size: all are read that way.",
        f"Ratios {', '.join(f'{r:g}' for r in ratios)}: share of filters masked, over all layers but the outputs; the "
        "last line of each network cuts every filter by its own score: channels that are added rarely agree, while of "
        "those that pass through a depthwise convolution one silent filter is enough.",
        "s: reading off and proving the couplings, once an architecture, + removal.",
    ]


if __name__ == "__main__":
    sys.exit(main())
