"""The checks of a configuration."""

import ssl

import pytest

from config.loading.loader import load
from config.tables.upstream import ProxyHeaderVersion
from proxy.building.health import health_checks
from tests.configurations import MINIMAL_LISTENER, Site

REST = """
[upstream.chat]
servers = ["https://127.0.0.1:8443", "unix:/run/chat.sock", {{ address = "http://chat.internal", weight = 2 }}]
{tls}
[upstream.chat.health]
path = "/ready?x=1"
{settings}
[[route]]
host = "chat.test"
upstream = "chat"
"""
SETTINGS = """
host = "ready.internal"
interval = "1500ms"
jitter = 0.25
timeout = "2500ms"
rise = 4
fall = 5
statuses = [200, 404]
"""


def test_each_server_is_checked_as_its_upstream_says(site: Site) -> None:
    tls = f'ca = "{site.authority.path}"\ncertificate = "{site.chat.certificate}"\nkey = "{site.chat.key}"'
    text = MINIMAL_LISTENER + site.identity + REST.format(tls=tls, settings=SETTINGS)
    checks = health_checks((given := load(site.write(text))).file, given.config.upstream)
    assert [check.server for check in checks] == [
        "https://127.0.0.1:8443",
        "unix:/run/chat.sock",
        "http://chat.internal",
    ]
    assert [check.tls is not None for check in checks] == [True, False, False]
    for check in checks:
        assert (check.upstream, check.path, check.host) == ("chat", "/ready?x=1", "ready.internal")
        assert (check.interval_seconds, check.jitter, check.timeout_seconds) == (1.5, 0.25, 2.5)
        assert (check.rise, check.fall, check.statuses) == (4, 5, (200, 404))
    context = checks[0].tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert checks[0].server_name == "127.0.0.1"


def test_host_and_name_are_those_of_the_address_unless_they_are_given(site: Site) -> None:
    tls = f'ca = "{site.authority.path}"\nserver_name = "chat.internal"'
    text = MINIMAL_LISTENER + site.identity + REST.format(tls=tls, settings="")
    checks = health_checks((given := load(site.write(text))).file, given.config.upstream)
    assert [check.host for check in checks] == ["127.0.0.1:8443", "localhost", "chat.internal"]
    assert checks[0].server_name == "chat.internal"


def test_upstreams_without_the_table_are_not_checked(site: Site) -> None:
    assert health_checks((given := load(site.write(site.minimal))).file, given.config.upstream) == ()


def test_files_that_cannot_be_used_are_an_error(site: Site) -> None:
    text = MINIMAL_LISTENER + site.identity + REST.format(tls='ca = "missing.pem"', settings="")
    with pytest.raises(OSError, match="No such file"):
        health_checks((given := load(site.write(text))).file, given.config.upstream)


def test_servers_that_want_a_proxy_header_get_one_from_checks(site: Site) -> None:
    text = MINIMAL_LISTENER + site.identity + REST.format(tls='send_proxy_protocol = "v2"', settings="")
    checks = health_checks((given := load(site.write(text))).file, given.config.upstream)
    assert [check.proxy_header for check in checks] == [ProxyHeaderVersion.BINARY] * 3
