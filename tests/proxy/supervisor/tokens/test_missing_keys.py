"""What is said of keys that tokens have lost: once for all workers, and once when they are back."""

from pathlib import Path
from typing import Any

import pytest

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.facts import KeyAddress
from certs.hsm.secret import Secret
from certs.tokens.token_use import KeyPlace, NamedKey, TokenUse
from proxy.observe.events.event import Event
from proxy.supervisor.tokens.missing_keys import PARENT, MissingKeys

KEY = KeyPlace("plexi", "pkcs11:a")


def use(*named: NamedKey) -> TokenUse:
    access = TokenAccess(Path("module.so"), TokenChoice("plexi"), Secret("1234"), Path("latches"))
    return TokenUse("plexi", access, "file plexi.pin", 16, (), b"login", named)


A = NamedKey("pkcs11:a", KeyAddress("a"), ("chat", "files"))
B = NamedKey("pkcs11:b", KeyAddress("b"), ("other",))


class Told:
    """The log: it remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def tell(self, event: Event) -> None:
        self.events.append(event.as_json())
        self.lines.append(event.sentence())

    @property
    def states(self) -> list[str]:
        return [event["state"] for event in self.events]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def missing(told: Told) -> MissingKeys:
    made = MissingKeys(told.tell)
    made.follow([use(A, B)])
    return made


def test_a_key_is_told_once_with_its_identities_and_once_when_it_is_back(missing: MissingKeys, told: Told) -> None:
    for pid in (1, 2):
        missing.says(pid, "plexi", ())
    assert told.events == []
    for pid in (1, 2):
        missing.says(pid, "plexi", ["pkcs11:a"])
    assert told.events == [
        {
            "event": "token_key",
            "token": "plexi",
            "key": "pkcs11:a",
            "identities": ["chat", "files"],
            "state": "missing",
        }
    ]
    assert told.lines == ["key pkcs11:a of chat, files: token plexi has no such key, or the key cannot sign"]
    assert missing.of_token("plexi") == {"pkcs11:a": ("chat", "files")}
    missing.says(1, "plexi", ())
    assert told.states == ["missing"], "one still misses it"
    assert [missing.is_missing(pid, KEY) for pid in (1, 2, 3)] == [False, True, False]
    missing.says(2, "plexi", ())
    assert told.states == ["missing", "found"]
    assert missing.of_token("plexi") == {}


def test_a_worker_that_ends_has_not_found_it(missing: MissingKeys, told: Told) -> None:
    missing.says(1, "plexi", ["pkcs11:a"])
    missing.worker_gone(1)
    assert told.states == ["missing"]
    assert not missing.is_missing(1, KEY)
    missing.says(2, "plexi", ["pkcs11:a"])
    assert told.states == ["missing"]
    missing.says(2, "plexi", ())
    assert told.states == ["missing", "found"]


def test_the_parent_counts_as_long_as_it_looks(missing: MissingKeys, told: Told) -> None:
    missing.says(1, "plexi", ())
    missing.says(PARENT, "plexi", ["pkcs11:a"])
    assert told.states == ["missing"]
    missing.forget(PARENT, "plexi")
    assert told.states == ["missing", "found"]


def test_a_key_that_is_not_used_any_more_is_not_told_of(missing: MissingKeys, told: Told) -> None:
    missing.says(1, "plexi", ["pkcs11:a", "pkcs11:c"])
    missing.follow([use(B)])
    assert missing.of_token("plexi") == {}
    missing.says(1, "plexi", ())
    assert told.states == ["missing"]
    missing.follow([])
    assert not missing.is_missing(1, KEY)


def test_all_that_is_missing_is_reported_at_each_change(missing: MissingKeys) -> None:
    reported: list[set[str]] = []
    missing.changed = lambda keys: reported.append({key.location for key in keys})
    missing.says(1, "plexi", ["pkcs11:a"])
    missing.says(2, "plexi", ["pkcs11:a"])
    missing.says(2, "plexi", ["pkcs11:a", "pkcs11:b"])
    missing.follow([use(B)])
    missing.says(2, "plexi", [])
    assert reported == [{"pkcs11:a"}, {"pkcs11:a", "pkcs11:b"}, {"pkcs11:b"}, set()]
