"""What standards are judged by."""

from pathlib import Path

from proxy.tls.wire.groups import GroupKind
from tests.proxy.doctor.standards.standard_facts import (
    certificate,
    configuration,
    facts,
    listener,
    openssl,
    status,
)


def test_running_listeners_count_more_than_the_file(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    running = facts(config, status(listener("X25519MLKEM768 / frodo1"), {"name": "http", "pq": "no TLS", "groups": ""}))
    (one,) = running.listeners()
    assert [group.name for group in one.all_groups] == ["X25519MLKEM768", "frodo1"]
    assert one.all_groups[1].kind is GroupKind.POST_QUANTUM
    assert one.suites is not None
    assert "TLS_CHACHA20_POLY1305_SHA256" in one.suites
    assert running.where_listeners() == "GET /status of the running proxy"
    (named,) = facts(config).listeners()
    assert named.groups[0][0].name == "X25519MLKEM768"
    assert facts(config).where_listeners() == "[listener.NAME] of the configuration"


def test_listener_that_the_file_does_not_have_has_no_suites(tmp_path: Path) -> None:
    (one,) = facts(configuration(tmp_path), status(listener(name="other"))).listeners()
    assert one.suites is None
    assert facts().listeners() == ()


def test_groups_of_a_provider_are_known_to_the_running_proxy_alone(tmp_path: Path) -> None:
    assert facts(configuration(tmp_path, listener='groups = ["frodo1"]\n')).listeners() == ()


def test_fips_provider_leaves_chacha20_out(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (one,) = facts(config, openssl=openssl("fips")).listeners()
    assert one.suites == ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
    assert (facts().has_fips, facts(openssl=openssl()).has_fips) == (None, False)


def test_certificates_and_payload_keys() -> None:
    assert facts().certificates() is None
    (one,) = facts(status=status(certificates=(certificate(days=7),))).certificates() or ()
    assert (str(one), one.days) == ("chat (ecdsa-p256)", 7.0)
    key = {"version": 3, "state": "active", "created": 5.0, "ended": None}
    payload = {"rings": [{"name": "r", "keys": [key, {**key, "version": 2, "ended": 6.0}]}]}
    (found,) = facts(payload=payload).payload_keys()
    assert (found.ring, found.version, found.created) == ("r", 3, 5.0)
    assert facts().payload_keys() == ()
