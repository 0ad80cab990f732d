"""The document, held against the official schema of CycloneDX 1.6."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from proxy.doctor.cbom.document import bill
from proxy.doctor.cbom.inventory import Inventory
from tests.proxy.doctor.cbom.bills import NOON, faults, full

EMPTY = Inventory("1.2.3", NOON, is_observed=False)


@pytest.mark.parametrize("inventory", [full(), EMPTY, replace(full(), tokens=(), libraries=())])
@pytest.mark.at_length
def test_it_is_valid_and_each_reference_leads_somewhere(inventory: Inventory) -> None:
    assert faults(json.dumps(bill(inventory))) == []


def test_the_judge_of_this_test_finds_faults() -> None:
    document = bill(full())
    document["components"][0]["cryptoProperties"] = {"assetType": "secret"}
    document["dependencies"][0].setdefault("dependsOn", []).append("algorithm/none")
    found = faults(json.dumps(document))
    assert len(found) == 2
    assert found[1] == "algorithm/none"


def test_head_says_what_it_is_and_when_it_was_made() -> None:
    document = bill(full())
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    metadata = document["metadata"]
    assert metadata["timestamp"] == "2026-06-01T12:00:00Z"
    assert metadata["component"]["name"] == "plexigate"
    assert metadata["lifecycles"] == [{"phase": "operations"}]
    assert metadata["properties"] == [
        {"name": "plexigate:observed", "value": "true"},
        {"name": "plexigate:unread", "value": "identity gone: no such file"},
    ]
    assert bill(EMPTY)["metadata"]["properties"] == [{"name": "plexigate:observed", "value": "false"}]


def test_same_inputs_give_the_same_bytes() -> None:
    assert json.dumps(bill(full())) == json.dumps(bill(full()))


def test_order_of_the_inputs_changes_nothing() -> None:
    one = full()
    turned = replace(
        one,
        keys=one.keys,
        listeners=one.listeners[::-1],
        libraries=one.libraries[::-1],
        tokens=one.tokens[::-1],
        suites=one.suites[::-1],
    )
    assert json.dumps(bill(turned)) == json.dumps(bill(one))


def test_serial_number_is_another_one_for_another_time_or_content() -> None:
    one = full()
    serials = {
        bill(other)["serialNumber"]
        for other in (one, replace(one, at=NOON + timedelta(seconds=1)), replace(one, keys=()), EMPTY)
        if other.keys or not other.certificates or other is one
    }
    assert len(serials) == 3


def test_components_stand_in_the_order_of_their_references_once_each() -> None:
    refs = [one["bom-ref"] for one in bill(full())["components"]]
    assert refs == sorted(set(refs))
