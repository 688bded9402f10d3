"""Makes what costs much to set up known to all tests: a local cluster, a folder of real images."""

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.cifar_images import cifar  # noqa: F401
from tests.launched_cluster import local_cluster  # noqa: F401

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children


@pytest.fixture(autouse=True)
def _numbers_as_before() -> Iterator[None]:
    """Benchmarks have the processor take the smallest numbers for zero; the next test of the process may need them."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
