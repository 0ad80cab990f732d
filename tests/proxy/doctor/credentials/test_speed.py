"""A short measurement, and what is judged too slow."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from certs.hsm.targets import Measured, MeasuringPlace, SpeedTarget
from certs.keys.generating import ALGORITHMS
from proxy.doctor.credentials import speed
from proxy.doctor.credentials.speed import SPEED, algorithms_of, flight_seconds, handshake_finding, measured_finding
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON, NOTHING, configured, states

P256 = ALGORITHMS["ec-p256"]


def test_rate_is_judged() -> None:
    fast, slow = handshake_finding(P256, 0.0005), handshake_finding(P256, 0.02)
    assert (fast.state, slow.state) == ("ok", "warning")
    assert fast.found == "0.50 ms of a core: 2000 full handshakes a second for each core"


@pytest.mark.parametrize("name", ["ec-p256", "rsa-2048", "mldsa-65"])
def test_flight_of_each_kind_of_key(name: str) -> None:
    assert 0 < flight_seconds(ALGORITHMS[name], NOON, 0.01) < 1


def test_targets_of_the_table() -> None:
    good = Measured(SpeedTarget.ENCAPSULATION, MeasuringPlace.SOFTWARE, (0.0001,) * 3)
    assert measured_finding(good).state == "ok"
    bad = measured_finding(replace(good, seconds=(0.1,) * 3))
    assert (bad.state, "wants less than 5 ms and more than 200 a second" in bad.found) == ("warning", True)
    few = measured_finding(Measured(SpeedTarget.SEALING, MeasuringPlace.SOFTWARE, (0.2,)))
    assert (few.state, few.found.rpartition("wants ")[2]) == ("warning", "less than 1 ms")


def test_kinds_are_those_of_the_configuration(tmp_path: Path) -> None:
    assert algorithms_of(NOTHING) == [P256]
    site = Site.make(tmp_path)
    rsa = site.authority.issue("rsa", ("chat.test",), kind="rsa-2048")
    text = site.minimal.replace(str(site.chat.certificate), str(rsa.certificate))
    assert [str(one) for one in algorithms_of(replace(NOTHING, configured=configured(site.write(text))))] == [
        "rsa-2048"
    ]
    curve = site.authority.issue("curve", ("chat.test",), kind="ecdsa-p521")
    text = site.minimal.replace(str(site.chat.certificate), str(curve.certificate))
    assert algorithms_of(replace(NOTHING, configured=configured(site.write(text)))) == [P256]


def test_checks_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SECONDS", 0.01)
    handshakes, crypto = SPEED
    assert [subject for subject, _ in states(handshakes.look(NOTHING))] == ["X25519MLKEM768 with ecdsa-p256"]
    assert [subject for subject, _ in states(crypto.look(NOTHING))] == [
        SpeedTarget.ENCAPSULATION,
        SpeedTarget.SIGNING_MLDSA,
        SpeedTarget.HYBRID,
        SpeedTarget.SEALING,
    ]
    assert all(one.is_alone for one in SPEED)


def test_only_what_the_configuration_uses_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SECONDS", 0.01)
    site = Site.make(tmp_path)
    for kind, expected in (
        ("ecdsa-p256", [SpeedTarget.ENCAPSULATION]),
        ("mldsa-87", [SpeedTarget.ENCAPSULATION, SpeedTarget.SIGNING_MLDSA]),
    ):
        files = site.authority.issue(kind, ("chat.test",), kind=kind)
        text = site.minimal.replace(str(site.chat.certificate), str(files.certificate))
        examined = replace(NOTHING, configured=configured(site.write(text)))
        assert [subject for subject, _ in states(SPEED[1].look(examined))] == expected


def test_openssl_that_cannot_do_it_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> float:
        raise ssl.SSLError(1, "no such group")

    monkeypatch.setattr(speed, "flight_seconds", refuse)
    assert [state for _, state in states(SPEED[0].look(NOTHING))] == ["failure"]
