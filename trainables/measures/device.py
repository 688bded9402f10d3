"""What a device is called in records: speedups are compared under equal names only."""

import platform
from functools import cache
from pathlib import Path


def device_label(on: str = "cpu") -> str:
    """The name of the processor, or of the GPU, that torch means by `on`."""
    if on == "cpu":
        return processor()
    import torch

    return torch.cuda.get_device_name(on)


@cache
def processor() -> str:
    """The processor's name as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
