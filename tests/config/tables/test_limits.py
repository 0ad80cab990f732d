"""Limits are named, bounded, and have defaults that can work together."""

import pytest
from pydantic import ValidationError

from config.tables.limits import LimitsConfig, ListenerLimitsConfig
from config.values.durations import unit_of


def test_every_limit_has_bounds_around_its_default() -> None:
    for name, field in LimitsConfig.model_fields.items():
        bounds = {kind: getattr(item, kind) for item in field.metadata for kind in ("ge", "le") if hasattr(item, kind)}
        assert bounds["ge"] < bounds["le"], name
        assert field.default is None or bounds["ge"] <= field.default <= bounds["le"], name


def test_the_unit_is_in_the_name() -> None:
    units = ("_bytes", "_count", "_lines", "_minute", "_fragments", "bytes_per_second")
    counted = {
        "connections",
        "connections_per_address",
        "fleet_connections",
        "handshakes_in_flight",
        "handshakes_per_address",
        "handshakes_per_second_per_address",
        "handshake_burst_per_address",
        "slow_groups_rate",
        "slow_groups_burst",
        "descriptor_reserve",
        "early_responses",
        "http2_streams",
        "http2_resets",
        "http2_resets_per_second",
        "http2_control_frames",
        "http2_control_frames_per_second",
    }
    numbers = {name for name, field in LimitsConfig.model_fields.items() if unit_of(field) is None}
    assert {name for name in numbers if not name.endswith(units)} == counted


def test_a_hello_of_one_byte_records_fits_on_the_wire() -> None:
    limits = LimitsConfig()
    assert limits.client_hello_wire_bytes >= 6 * limits.client_hello_bytes


@pytest.mark.parametrize("value", [-1, "5", True, float("nan"), float("inf"), None, 1 << 200])
def test_other_values_are_refused(value: object) -> None:
    allowed = {"memory_bytes", "fleet_connections"} if value is None else set[str]()  # which is its default
    accepted = {name for name in LimitsConfig.model_fields if is_valid({LimitsConfig.key_of(name): value})}
    assert accepted == allowed


def is_valid(limits: dict[str, object]) -> bool:
    try:
        LimitsConfig.model_validate(limits)
    except ValidationError:
        return False
    return True


def test_bytes_may_not_be_broken() -> None:
    with pytest.raises(ValidationError):
        LimitsConfig.model_validate({"head_bytes": 4_096.0})


def test_a_listener_has_what_it_says_itself_and_else_the_same() -> None:
    general = LimitsConfig(connections=500, handshakes_per_address=7)
    own = ListenerLimitsConfig(connections=30, handshakes_per_second_per_address=0.5)
    limits = general.for_listener(own)
    assert (limits.connections, limits.handshakes_per_address, limits.handshakes_per_second_per_address) == (30, 7, 0.5)
    assert general.for_listener(ListenerLimitsConfig()) == general
    assert general.connections == 500


def test_limits_of_a_listener_have_the_bounds_of_the_general_ones() -> None:
    for name, field in ListenerLimitsConfig.model_fields.items():
        assert str(field.metadata) == str(LimitsConfig.model_fields[name].metadata)
        assert field.default is None
