"""The shape of a listener's table."""

import pytest
from pydantic import ValidationError

from config.addresses import parse_bind
from config.listener import REJECT, ListenerConfig, PqPolicy, SecurityLevel


def refused(key: str, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        ListenerConfig.model_validate({"bind": "127.0.0.1:1", key: value})
    return str(caught.value)


def test_the_smallest_table_has_the_defaults_of_the_contract() -> None:
    listener = ListenerConfig.model_validate({"bind": "0.0.0.0:443"})
    assert (listener.pq, listener.level) == (PqPolicy.PREFER, SecurityLevel.STANDARD)
    assert (listener.groups, listener.default, listener.trusted_peers) == (None, REJECT, ())


@pytest.mark.parametrize("bind", ["127.0.0.1:1", ["127.0.0.1:1"], parse_bind("127.0.0.1:1")])
def test_bind_may_be_one_address_or_a_list(bind: object) -> None:
    assert [str(one) for one in ListenerConfig.model_validate({"bind": bind}).bind] == ["127.0.0.1:1"]


@pytest.mark.parametrize("bind", [[], 443, {"a": 1}, [443]])
def test_other_binds_are_refused(bind: object) -> None:
    refused("bind", bind)


def test_groups_keep_the_form_of_the_file() -> None:
    def groups(value: object) -> object:
        return ListenerConfig.model_validate({"bind": "127.0.0.1:1", "groups": value}).groups

    assert groups(["A", "B"]) == ("A", "B")
    assert groups([["A", "B"], ["C"]]) == (("A", "B"), ("C",))
    assert groups(None) is None


@pytest.mark.parametrize("groups", ["A", [], [[]], [["A"], []], ["A", ["B"]], [1], [["A", 1]], [["A", ""]], [""], 5])
def test_other_groups_are_refused(groups: object) -> None:
    refused("groups", groups)


def test_critical_levels_require_post_quantum_groups() -> None:
    assert [level for level in SecurityLevel if level.requires_pq] == [
        SecurityLevel.CRITICAL,
        SecurityLevel.QUANTUM_SAFE,
    ]
