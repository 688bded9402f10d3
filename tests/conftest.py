"""Makes what costs much to set up known to all tests: a local cluster, a folder of real images."""

import signal

from tests.cifar_images import cifar  # noqa: F401
from tests.launched_cluster import local_cluster  # noqa: F401

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children
