"""What is sealed for a fleet opens under its name alone, and with its key alone; everything else is refused with its name."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.supervisor.membership.values import FleetKey, Schemas, ValueUnusable

KEY = FleetKey(1, bytes(range(32)))
SEALED = KEY.seal("tickets", "edge-1", {"a": [1]}, 1)


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(SEALED), **fields}).encode()


def test_a_value_opens_under_its_name_and_shows_who_wrote_it() -> None:
    assert KEY.open("tickets", SEALED) == {"a": [1]}
    document = json.loads(SEALED)
    assert list(document) == ["schema", "epoch", "writer", "ciphertext"]
    assert (document["schema"], document["epoch"], document["writer"]) == (1, 1, "edge-1")
    assert KEY.seal("tickets", "edge-1", {"a": [1]}, 1) != SEALED, "another nonce"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"", "is no value of a fleet"),
        (b"[]", "is no value of a fleet"),
        (b"{}", "is no value of a fleet"),
        (b"[" * 100_000, "is no value of a fleet"),
        (changed(ciphertext="*"), "is no value of a fleet"),
        (changed(writer=[]), "is no value of a fleet"),  # deep enough, JSON could read it, and not write it again
        (changed(ciphertext=""), "was not sealed by the key of this fleet, or was changed since"),
        (
            changed(ciphertext=base64.b64encode(bytes(40)).decode()),
            "was not sealed by the key of this fleet, or was changed since",
        ),
        (changed(writer="edge-2"), "was not sealed by the key of this fleet, or was changed since"),
        (changed(schema=[]), "has schema []; this Plexigate knows 1"),
        (changed(schema="long" * 100), "has schema 'longlonglonglonglon; this Plexigate knows 1"),
        (changed(schema=2), "has schema 2; this Plexigate knows 1"),
        (changed(epoch=2), "is sealed by the key of epoch 2; this node has that of 1"),
    ],
)
def test_other_values_are_refused(value: bytes, found: str) -> None:
    with pytest.raises(ValueUnusable) as refused:
        KEY.open("tickets", value)
    assert str(refused.value) == f"tickets in the store of the fleet {found}"


def test_a_name_moves_no_cursor_of_a_terminal() -> None:
    with pytest.raises(ValueUnusable) as refused:
        KEY.open("notes/\x1b[2J" + "a" * 200, b"")
    assert str(refused.value) == "notes/\\x1b[2J" + "a" * 87 + " in the store of the fleet is no value of a fleet"


def test_no_value_stands_in_for_another_one_and_no_other_key_opens_it() -> None:
    for key, name in ((KEY, "members/edge-1"), (FleetKey.fresh(1), "tickets")):
        with pytest.raises(ValueUnusable):
            key.open(name, SEALED)


def test_two_versions_in_a_row_read_each_other_and_a_field_that_is_not_known_is_kept() -> None:
    """The next version calls "a" "b", and knows nothing of "c"."""

    def newer(_: str, content: Any) -> Any:
        return {("b" if name == "a" else name): value for name, value in content.items()}

    def older(_: str, content: Any) -> Any:
        return {("a" if name == "b" else name): value for name, value in content.items()}

    next_one = replace(KEY, schemas=Schemas(2, newer, older))
    after = replace(KEY, schemas=Schemas(3, newer, older))
    assert next_one.open("tickets", KEY.seal("tickets", "edge-1", {"a": 1, "c": 2}, 1)) == {"b": 1, "c": 2}
    by_lowest = next_one.seal("tickets", "edge-2", {"b": 1, "c": 2}, 1)
    assert KEY.open("tickets", by_lowest) == {"a": 1, "c": 2}
    assert next_one.open("tickets", by_lowest) == {"b": 1, "c": 2}
    newest = next_one.seal("tickets", "edge-2", {"b": 1}, 2)
    assert json.loads(newest)["schema"] == 2
    assert json.loads(next_one.seal("tickets", "edge-2", {"b": 1}, 3))["schema"] == 2, "what it knows itself"
    assert json.loads(after.seal("tickets", "edge-3", {"b": 1}, 1))["schema"] == 2, "never two before its own"
    assert json.loads(KEY.seal("tickets", "edge-1", {"a": 1}, 0))["schema"] == 1, "there is none before the first"
    for reader, value, found in (
        (KEY, newest, "has schema 2; this Plexigate knows 1"),
        (after, SEALED, "has schema 1"),
    ):
        with pytest.raises(ValueUnusable, match=found):
            reader.open("tickets", value)


def test_the_key_is_not_shown() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
