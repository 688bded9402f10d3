"""MLflow: the record of every sweep and the registry of its pruned networks. The only importer of mlflow.

mlflow itself (2 to 3 seconds) is imported inside the functions that need it, so that importing this package is cheap.
"""

from sparsweep.search.with_mlflow.quiet import settle
from sparsweep.search.with_mlflow.registry import ModelVersionInfo, Publication, Registry, warm_up
from sparsweep.search.with_mlflow.store import prepare_store, reachable, without_password
from sparsweep.search.with_mlflow.tracking import Ledger, SweepFacts, git_commit

__all__ = [
    "Ledger",
    "ModelVersionInfo",
    "Publication",
    "Registry",
    "SweepFacts",
    "git_commit",
    "prepare_store",
    "reachable",
    "settle",
    "warm_up",
    "without_password",
]
