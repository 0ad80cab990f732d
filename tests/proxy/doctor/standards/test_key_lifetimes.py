"""NIST SP 800-57 Part 1: cryptoperiods and strengths."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.doctor.standards.assessment import Conformity
from proxy.doctor.standards.facts import CertificateView
from proxy.doctor.standards.key_lifetimes import sp_800_57, strength
from tests.proxy.doctor.standards.standard_facts import (
    DAY,
    NOW,
    certificate,
    configuration,
    facts,
    of_clause,
    status,
    verdict,
)

if TYPE_CHECKING:
    from proxy.api.status import SealingRow

MET, NOT_MET, _ = Conformity
AUTHENTICATION = "A private authentication key"


def test_without_a_file_and_a_proxy_only_the_program_is_judged() -> None:
    assert [one.verdict for one in sp_800_57(facts())] == [MET]


@pytest.mark.parametrize(("days", "expected"), [(90, None), (800, NOT_MET)])
def test_key_of_a_file_is_judged_by_its_certificate_alone(
    tmp_path: Path, days: float, expected: Conformity | None
) -> None:
    found = status(certificates=(certificate(days=days),))
    assert verdict(sp_800_57(facts(configuration(tmp_path), found)), AUTHENTICATION) is expected


ISSUED = """[identity.chat]
names = ["chat.test"]
[[identity.chat.credential]]
key = "ec-p256@file"
issuer = "own"
"""
ISSUER = """[issuer.own]
type = "internal"
[rotation]
state = "state"
"""


def test_key_that_the_proxy_renews(tmp_path: Path) -> None:
    config = configuration(tmp_path, ISSUER, identity=ISSUED)
    rows = list(sp_800_57(facts(config, status(certificates=(certificate(days=7),)))))
    (row,) = of_clause(rows, AUTHENTICATION)
    assert row.verdict is MET
    (intermediate,) = of_clause(rows, "such as that of an authority")
    assert (intermediate.verdict, intermediate.found) == (MET, "intermediate of own: 365 days")


def test_intermediate_that_signs_too_long(tmp_path: Path) -> None:
    config = configuration(
        tmp_path, ISSUER.replace('internal"\n', 'internal"\nintermediate_lifetime = "1500d"\n'), identity=ISSUED
    )
    assert of_clause(list(sp_800_57(facts(config))), "such as that of an authority")[0].verdict is NOT_MET


@pytest.mark.parametrize(
    ("algorithm", "bits"),
    [
        ("ecdsa-p256", 128),
        ("ecdsa-p384", 192),
        ("mldsa-87", 256),
        ("rsa-1024", 0),
        ("rsa-2048", 112),
        ("rsa-3072", 128),
        ("rsa-4096", 128),
        ("rsa-15360", 256),
        ("unheard-of", None),
    ],
)
def test_strength_by_the_tables(algorithm: str, bits: int | None) -> None:
    assert strength(CertificateView("chat", algorithm, NOW, NOW + DAY)) == bits


@pytest.mark.parametrize(
    ("algorithm", "days", "expected"),
    [
        ("rsa-2048", 90, MET),
        ("rsa-2048", 2_000, NOT_MET),
        ("rsa-1024", 90, NOT_MET),
        ("ecdsa-p256", 2_000, MET),
        ("unheard-of", 90, None),
    ],
)
def test_strength_by_time(algorithm: str, days: float, expected: Conformity | None) -> None:
    rows = sp_800_57(facts(status=status(certificates=(certificate(algorithm, days),))))
    assert verdict(rows, "section 5.6.3") is expected


PAYLOAD = """[payload]
directory = "payload"
[payload.ring.short]
rotate_after = "1d"
[payload.ring.long]
rotate_after = "20000h"
[payload.sessions]
"""


def test_symmetric_keys(tmp_path: Path) -> None:
    key = {"version": 1, "state": "active", "created": NOW - DAY, "ended": None}
    rings = [{"name": "short", "keys": [key, {**key, "state": "retiring"}]}]
    rings.append({"name": "long", "keys": [{**key, "created": NOW - 1_000 * DAY}]})
    config = configuration(tmp_path, PAYLOAD)
    rows = list(sp_800_57(facts(config, payload={"rings": rings})))
    tickets, long, short = of_clause(rows, "A symmetric data-encryption key")
    assert tickets.where == "limits.rotate_tls_ticket_key_after"
    assert {one.found: one.verdict for one in (long, short)} == {
        "ring short rotates each 24 hours": MET,
        "ring long rotates each 20000 hours": NOT_MET,
    }
    young, old = of_clause(rows, "as observed")
    assert (young.found, young.verdict, old.verdict) == ("key 1 of ring short is 1.0 days old", MET, NOT_MET)
    assert of_clause(rows, "static key-agreement")[0].verdict is MET


@pytest.mark.parametrize(
    ("rotate_after", "age", "expected"),
    [("90d", 700, [MET, MET]), ("800d", 740, [NOT_MET, NOT_MET]), ("90d", None, [MET])],
)
def test_the_sealing_key_and_the_keys_below_it(
    tmp_path: Path, rotate_after: str, age: float | None, expected: list[Conformity]
) -> None:
    config = configuration(tmp_path, f'[sealing]\nkey = "sealing.key"\nrotate_after = "{rotate_after}"\n')
    found = status()
    since = None if age is None else NOW - age * DAY
    told: SealingRow = {
        "key": "sealing.key",
        "since": since,
        "keys_since": {},
        "is_previous": False,
        "previous_until": None,
        "error": None,
    }
    for sealing in (None, told):
        found["sealing"] = sealing
        rows = [one for one in sp_800_57(facts(config, found)) if "seal" in one.found]
        assert [one.verdict for one in rows] == expected[: 1 if sealing is None else 2]


def test_authority_elsewhere_has_its_own_rules(tmp_path: Path) -> None:
    text = '[issuer.acme]\ntype = "acme"\ndirectory = "https://ca.test/dir"\ncontact = ["a@b.test"]\n'
    rows = list(sp_800_57(facts(configuration(tmp_path, text + '[rotation]\nstate = "state"\n'))))
    assert not [one for one in rows if "such as that of an authority" in one.requirement]
