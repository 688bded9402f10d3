"""Makes what costs much to set up known to all tests: a local cluster, a folder of real images."""

from tests.cifar_images import cifar  # noqa: F401
from tests.local_cluster import local_cluster  # noqa: F401
