"""A process of its own finds out what OpenSSL can do."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from proxy.doctor import openssl_facts
from proxy.doctor.openssl_facts import OpensslFacts, OpensslSilent, facts_of
from tests.configurations import Site


def test_facts_without_a_configuration() -> None:
    facts = facts_of(None)
    assert "X25519MLKEM768" in facts.post_quantum
    assert "mldsa65" in facts.schemes
    assert (facts.providers, facts.missing_providers) == (("default",), ())
    assert OpensslFacts.from_json(json.loads(json.dumps(asdict(facts)))) == facts


def test_provider_that_is_not_there_is_missing(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    facts = facts_of(site.write(f'{site.minimal}[openssl]\nproviders = ["legacy", "gone"]\n'))
    assert facts.missing_providers == ("gone",)
    assert "legacy" in facts.providers


def test_process_that_fails_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(program))
    for script, text in (
        ("echo broken >&2; exit 3", "broken"),
        ("exit 3", "ended with status 3"),
        ("exec sleep 9", "not answer"),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(openssl_facts, "_SECONDS", 0.5)
        with pytest.raises(OpensslSilent, match=text):
            facts_of(None)
