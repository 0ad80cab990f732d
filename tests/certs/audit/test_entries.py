"""What is recorded, and what is kept out of it."""

from certs.audit.entries import Action, HandshakeTotal, KeyOperation, Outcome
from certs.audit.line import LARGEST_LINE, LineKind
from tests.certs.audit.logs import Writer

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA"


def test_operation() -> None:
    operation = KeyOperation("cli root", Action.DESTROY, "chat-2026", Outcome.REFUSED, "in use")
    assert operation.kind is LineKind.OPERATION
    assert operation.facts == {
        "actor": "cli root", "action": "destroy", "key": "chat-2026", "outcome": "refused", "detail": "in use",
    }  # fmt: skip
    assert "detail" not in KeyOperation("parent", Action.SIGN, "chat", Outcome.DONE).facts


def test_key_material_is_not_written_by_mistake() -> None:
    operation = KeyOperation(PEM, Action.IMPORT, PEM, Outcome.FAILED, f"could not import {PEM}")
    assert [value for value in operation.facts.values() if "BEGIN" in str(value)] == []
    assert operation.facts["detail"] == "(looks like key material: not shown)"


def test_long_texts_still_make_a_line() -> None:
    operation = KeyOperation("\u2028" * 9_000, Action.SIGN, "é" * 9_000, Outcome.DONE, "é " * 9_000)
    assert len(Writer().put(operation.kind, operation.facts).encode()) < LARGEST_LINE


def test_handshakes_are_totals_by_key() -> None:
    total = HandshakeTotal("worker 2", "a", 40, 2)
    assert (total.kind, total.facts) == (
        LineKind.HANDSHAKES,
        {"actor": "worker 2", "key": "a", "done": 40, "failed": 2},
    )
