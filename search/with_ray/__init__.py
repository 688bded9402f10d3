"""Ray: where trials run. The only importer of ray."""

from sparsweep.search.with_ray.access import ADVICE, open_doors, warning
from sparsweep.search.with_ray.cluster import (
    Slots,
    described,
    exclusively,
    near_store,
    node_count,
    refuse_other_versions,
    shut_down,
    slot_count,
    start,
)
from sparsweep.search.with_ray.judging import RemoteJudge, remote_judge
from sparsweep.search.with_ray.ready import await_signs
from sparsweep.search.with_ray.trials import PruningTrainable, SourceSearcher, run_trials

__all__ = [
    "ADVICE", "PruningTrainable", "RemoteJudge", "Slots", "SourceSearcher", "await_signs", "described", "exclusively",
    "near_store", "node_count", "open_doors", "refuse_other_versions", "remote_judge", "run_trials", "shut_down",
    "slot_count", "start", "warning",
]  # fmt: skip
