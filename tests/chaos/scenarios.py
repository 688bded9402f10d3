"""All faults by name."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.chaos import artifact_faults, damage, driver_faults, model_faults, node_faults, store_faults, user_faults
from tests.chaos.outcome import Outcome

SCENARIOS: Mapping[str, Callable[[Path], Outcome]] = {
    "driver-killed": driver_faults.driver_killed,
    "nodes": node_faults.nodes_come_and_go,
    "preempted": node_faults.preempted,
    "tracking-down": store_faults.tracking_server_down,
    "tracking-killed-in-batch": store_faults.server_killed_in_a_batch,
    "database-restarted": store_faults.database_restarted,
    "artifacts-refused": artifact_faults.artifacts_refused,
    "artifacts-lost": artifact_faults.artifacts_lost_while_running,
    "user-code": user_faults.user_code_fails,
    "two-drivers": driver_faults.two_drivers,
    "two-sweeps-one-model": model_faults.two_sweeps_one_model,
    "driver-suspended": driver_faults.driver_suspended,
    "checkpoint-damaged": damage.checkpoint_half_written,
    "files-damaged": damage.files_damaged,
    "disk-full": damage.disk_full,
}

QUICK: Mapping[str, Callable[[Path], Outcome]] = {
    "two-drivers": driver_faults.two_drivers,
    "tracking-down": partial(store_faults.tracking_server_down, down_s=15, trials=12),
}
"""Among the ordinary tests, some of them in a short form; all at full length take the better part of an hour."""
