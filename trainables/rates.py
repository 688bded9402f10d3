"""Learning rates over a training."""

import math

SCHEDULES = ("constant", "cosine", "warmup_cosine")
WARMUP = 0.1
"""Of a training or a fine-tuning, the share in which `warmup_cosine` lets the rate rise."""


def rate_at(learning_rate: float, progress: float, schedule: str) -> float:
    """The rate at `progress` in [0, 1]: constant; a half cosine down to 1 % of it; or that after an even rise from 1 %.

    Adam's first steps are of the whole rate for every weight, whatever its gradient: without the rise, fine-tuning a
    network whose training had come to rest may leave units that never fire again (Goyal et al. 2017, arXiv:1706.02677,
    section 2.2, for the rise; what it is worth here is measured).

    >>> [round(rate_at(1.0, at, "warmup_cosine"), 3) for at in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.01, 0.505, 1.0, 0.505, 0.01]
    """
    if schedule == "constant":
        return learning_rate
    if schedule == "warmup_cosine":
        if progress < WARMUP:
            return learning_rate * (0.01 + 0.99 * progress / WARMUP)
        progress = (progress - WARMUP) / (1 - WARMUP)
    return learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
