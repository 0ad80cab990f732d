"""What a worker may use of the machine."""

from config.schema import LimitsConfig
from proxy.building.resources import resource_limits
from proxy.limits.scarcity import ResourceLimits

GIBIBYTE = 1_073_741_824


def test_workers_share_half_of_the_memory() -> None:
    assert resource_limits(LimitsConfig(), 8 * GIBIBYTE, 4) == ResourceLimits(256, GIBIBYTE)


def test_what_is_configured_counts_for_each_worker() -> None:
    limits = LimitsConfig(memory_bytes=2 * GIBIBYTE, descriptor_reserve=7)
    assert resource_limits(limits, 8 * GIBIBYTE, 4) == ResourceLimits(7, 2 * GIBIBYTE)
