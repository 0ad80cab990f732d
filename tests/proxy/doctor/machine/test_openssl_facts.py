"""A process of its own finds out what OpenSSL can do."""

import json
import sys
from pathlib import Path

import pytest

from proxy.doctor.machine import openssl_facts
from proxy.doctor.machine.openssl_facts import OpensslFacts, OpensslSilent, facts_of
from proxy.processes.messages.codec import decode, encode
from tests.configurations import Site
from tests.slow_provider import GROUP, NAME, build_slow_provider


def test_facts_without_a_configuration() -> None:
    facts = facts_of(None)
    assert "X25519MLKEM768" in facts.post_quantum
    assert "mldsa65" in facts.schemes
    assert (facts.providers, facts.missing_providers) == (("default",), ())
    assert decode(OpensslFacts, json.loads(json.dumps(encode(facts)))) == facts


def test_provider_that_is_not_there_is_missing(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    facts = facts_of(site.write(f'{site.minimal}[openssl]\nproviders = ["legacy", "gone"]\n'))
    assert facts.missing_providers == ("gone",)
    assert "legacy" in facts.providers


def test_providers_say_what_they_are_and_which_groups_they_compute(tmp_path: Path) -> None:
    build_slow_provider(tmp_path)
    site = Site.make(tmp_path)
    facts = facts_of(site.write(f'{site.minimal}[openssl]\nproviders = ["{NAME}"]\nmodule_path = "{tmp_path}"\n'))
    own, slow = facts.modules_loaded
    assert (own.name, own.version) == ("default", facts.version)
    assert {"X25519MLKEM768", "X25519", "secp256r1", "ffdhe2048"} <= set(own.groups)
    assert (slow.name, slow.version, slow.groups) == (NAME, "0.12.0", (GROUP,))
    assert slow.build.endswith("based on liboqs v.0.16.0")


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
