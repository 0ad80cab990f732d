"""What a fleet stores for its certificates is read as it was written, and no secret is shown."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from certs.rotation.due import RenewalReason
from certs.rotation.sharing import SharedEdition, SharedKey
from certs.storage.intent import Intent
from proxy.rotation.fellows import Answer, Wish
from proxy.supervisor.membership.kinds.rows import (
    AccountRow,
    AuthorityRow,
    BegunRow,
    ChallengeRow,
    EditionRow,
    RevocationRow,
    answer_as_json,
    read_answer,
    read_wish,
    wish_as_json,
)
from tests.certs.authority import issue, private_key

INTENT = Intent("ec-p256@file", "internal", ("a.test",), "why", datetime(2026, 1, 2, tzinfo=UTC), 4)
KEY = SharedKey(INTENT, b"very secret")
ROWS = (
    EditionRow(SharedEdition(KEY, b"a chain", 3)),
    BegunRow(KEY, "https://ca.test", "https://ca.test/order/1"),
    AccountRow("very secret", 1),
    AuthorityRow({"root": "very secret"}, 2, 7),
    RevocationRow("internal", issue("a.test", private_key("ecdsa-p256")).pem.decode()),
    ChallengeRow("http-01", "token", "answer"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_is_read_as_it_was_written(row: Any) -> None:
    written = json.loads(json.dumps(row.as_json()))
    assert type(row).read(written) == row
    assert "secret" not in repr(row)
    for name in written:
        rest = {key: value for key, value in written.items() if key != name}
        with pytest.raises(KeyError):
            type(row).read(rest)


def test_wishes_and_answers_are_read_as_they_were_written() -> None:
    wish = Wish("1f", ("chat", "ec"), RenewalReason.COMPROMISED, insists=True)
    assert read_wish(json.loads(json.dumps(wish_as_json(wish)))) == wish
    answer = Answer(is_fulfilled=False, detail="the CA is down")
    assert read_answer(json.loads(json.dumps(answer_as_json(answer)))) == answer


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (AuthorityRow.read, {"copy": [], "epoch": 1, "distrusted_until": 0}),
        (RevocationRow.read, {"issuer": "internal", "pem": "no certificate"}),
        (read_wish, {"id": "1", "key": ["chat"], "reason": RenewalReason.COMMAND.value, "insists": False}),
        (read_wish, {"id": "1", "key": ["chat", "ec"], "reason": "another", "insists": False}),
        (EditionRow.read, {**ROWS[0].as_json(), "begun_at": "yesterday"}),
    ],
)
def test_what_no_node_writes_is_refused(read: Callable[[Any], Any], row: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        read(row)


@pytest.mark.parametrize(
    ("keys", "is_known"),
    [
        (["-----BEGIN PRIVATE KEY-----"], True),
        (["pkcs11:token=plexi", "-----BEGIN PRIVATE KEY-----"], True),
        (["pkcs11:token=plexi"], False),
        ([None], None),
    ],
)
def test_it_is_known_who_knows_the_key_of_a_root(keys: list[str | None], is_known: bool | None) -> None:  # noqa: FBT001
    copy = {"root": {"versions": [{"key": one} for one in keys]}}
    assert AuthorityRow(copy, 1).has_known_root is is_known
