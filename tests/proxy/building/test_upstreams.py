"""What each upstream runs by."""

import dataclasses

import pytest

from proxy.tls.capabilities import Capabilities
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems


def test_https_upstream_gets_one_context_for_all_of_its_servers(site: Site, capabilities: Capabilities) -> None:
    text = f"""
[upstream.chat]
servers = ["https://127.0.0.1:1", "https://chat.internal:2", "http://127.0.0.1:3"]
ca = "{site.authority.path}"
certificate = "{site.chat.certificate}"
key = "{site.chat.key}"
connections = 5
waiting = 6
wait_seconds = 1.5
connect_seconds = 2.5
first_byte_seconds = 3.5
stall_seconds = 4.5
idle_seconds = 5.5
[[route]]
host = "chat.test"
upstream = "chat"
"""
    (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + text).upstreams
    one, two, three = plan.dialling
    assert one.tls is two.tls is not None
    assert three.tls is None
    assert (one.server_name, two.server_name) == ("127.0.0.1", "chat.internal")
    assert one.connect_seconds == 2.5
    assert dataclasses.astuple(plan.limits) == (5, 6, 1.5)
    responses = plan.responses
    assert (responses.first_byte_seconds, responses.stall_seconds, responses.idle_seconds) == (3.5, 4.5, 5.5)


def test_name_to_verify_can_be_given(site: Site, capabilities: Capabilities) -> None:
    text = MINIMAL_REST.replace("http://127.0.0.1:1", "https://127.0.0.1:1").replace(
        "[[route]]", f'server_name = "chat.internal"\nca = "{site.authority.path}"\n[[route]]'
    )
    (plan,) = built(site, capabilities, MINIMAL_LISTENER + site.identity + text).upstreams
    assert plan.dialling[0].server_name == "chat.internal"


def test_upstream_settings_that_only_openssl_refuses(
    site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.building.upstreams._GROUPS", "nonsense")
    found = problems(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST.replace("http:", "https:"))
    assert "TLS settings that OpenSSL does not take" in found["upstream.chat"].found
