"""Rules that span several tables."""

import tomllib

import pytest

from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from config.values.omissions import Omissions
from tests.cross_checks import GOOD, check

OTHER = '[identity.files]\nnames = ["{}"]\ncertificate = "f.pem"\nkey = "f.key"\n'


def test_a_configuration_that_fits_together_has_no_problem() -> None:
    assert cross_check(Config.model_validate(tomllib.loads(GOOD)), "f") == []


def test_an_empty_file_lacks_what_is_needed() -> None:
    assert check("") == [
        "f: listener: found nothing; allowed: at least one [listener.NAME]",
        "f: identity: found nothing; allowed: at least one [identity.NAME]",
        "f: route: warning: found nothing; better: at least one [[route]]: every request is answered with 404",
    ]


def test_what_was_refused_is_not_lacking() -> None:
    assert check("", ("listener", "a"), ("identity",), ("route", 0)) == []


def test_default_is_reject_or_an_identity() -> None:
    assert check(GOOD.replace(":8443", ':8443"\ndefault = "chat')) == []
    assert check(GOOD.replace(":8443", ':8443"\ndefault = "nobody')) == [
        'f: listener.public.default: found "nobody"; allowed: "reject" or the name of an identity: "chat"'
    ]
    assert check(GOOD.replace(":8443", ':8443"\ndefault = "gone'), ("identity", "gone")) == []


def test_no_identity_is_named_reject() -> None:
    (problem,) = check(GOOD.replace("identity.chat", "identity.reject"))
    assert problem.startswith('f: identity.reject: found an identity named "reject"; allowed: another name')


@pytest.mark.parametrize("level", ["critical", "quantum-safe"])
def test_off_contradicts_a_level_without_classical_groups(level: str) -> None:
    (problem,) = check(GOOD.replace(":8443", f':8443"\npq = "off"\nlevel = "{level}'))
    assert problem.startswith(
        f'f: listener.public.pq: found "off"; allowed: no pq: level "{level}" has only hybrid groups'
    )


def test_report_at_a_level_that_requires_is_only_said() -> None:
    (problem,) = check(GOOD.replace(":8443", ':8443"\npq = "report"\nlevel = "critical'))
    assert problem.startswith('f: listener.public.pq: warning: found "report"; better: "require"')


@pytest.mark.parametrize(
    ("pq", "level"), [("prefer", "critical"), ("require", "quantum-safe"), ("off", "high"), ("report", "standard")]
)
def test_other_pairs_of_policy_and_level_fit(pq: str, level: str) -> None:
    assert check(GOOD.replace(":8443", f':8443"\npq = "{pq}"\nlevel = "{level}')) == []


def test_an_address_is_bound_once() -> None:
    twice = '[listener.two]\nbind = ["[::1]:8443", "127.0.0.1:8443", "127.0.0.1:8444", "127.0.0.1:8444"]\n' + GOOD
    assert check(twice) == [
        f'f: {key}: found "{bind}", which {first} already uses; allowed: each address and port once'
        for key, bind, first in [
            ("listener.two.bind[3]", "127.0.0.1:8444", "listener.two.bind[2]"),
            ("listener.public.bind[0]", "127.0.0.1:8443", "listener.two.bind[1]"),
        ]
    ]


def test_port_0_is_another_port_each_time() -> None:
    assert check(GOOD.replace('"127.0.0.1:8443"', '["127.0.0.1:0", "127.0.0.1:0"]')) == []


def test_a_name_belongs_to_one_identity() -> None:
    assert check(GOOD + OTHER.format("CHAT.example.org")) == [
        'f: identity.files.names[0]: found "chat.example.org", which identity.chat.names[0] already uses; '
        "allowed: each name once: it decides which certificate a client gets"
    ]


def test_a_name_stands_once_in_its_identity() -> None:
    (problem,) = check(GOOD.replace('"*.chat.example.org"', '"chat.example.org"'))
    assert problem.startswith(
        'f: identity.chat.names[1]: found "chat.example.org", which identity.chat.names[0] already uses'
    )


def test_an_exact_name_under_a_wildcard_of_another_identity_is_fine() -> None:
    assert check(GOOD + OTHER.format("files.chat.example.org")) == []


def test_an_unused_upstream_is_only_said() -> None:
    unused = GOOD + '[upstream.old]\nservers = ["http://old"]\n'
    assert check(unused) == [
        "f: upstream.old: warning: found an upstream that no route uses; better: a [[route]] to it, or no such table"
    ]
    assert check(unused, ("route", 1)) == []


def test_a_server_stands_once_in_its_upstream() -> None:
    text = GOOD.replace('"http://127.0.0.1:8000"', '"http://chat", "http://a", "HTTP://Chat:80"')
    assert check(text) == [
        'f: upstream.chat.servers[2]: found "http://chat" again; allowed: each server once: its weight says how much it gets'
    ]
    assert check(text, ("upstream", "chat", "servers", 0))[0].startswith("f: upstream.chat.servers[3]")


def test_each_upstream_has_a_cookie_of_its_own() -> None:
    def text(*names: str) -> str:
        return GOOD + "".join(
            f'[upstream.u{number}]\nservers = ["http://a"]\nbalance = "sticky-cookie"\n'
            f'[upstream.u{number}.cookie]\nsecret = "s"\n{name}'
            for number, name in enumerate(names)
        )

    found = [
        problem
        for problem in check(text('name = "a"\n', 'name = "a"\n', 'name = "b"\n', "", ""))
        if "cookie" in problem
    ]
    assert found == [
        'f: upstream.u1.cookie.name: found "a", which upstream.u0.cookie.name already uses; '
        "allowed: a different cookie for each upstream, because they would overwrite each other"
    ]


def test_a_provider_is_loaded_once() -> None:
    assert check(GOOD + '[openssl]\nproviders = ["a", "b", "a"]\n') == [
        'f: openssl.providers[2]: found "a" again; allowed: each provider once'
    ]


def test_fips_provider_is_not_beside_tokens() -> None:
    hsm = '[hsm]\nmodule = "/lib/m.so"\n[hsm.token.a]\npin_file = "f"\n'
    found = [one for one in check(GOOD + '[openssl]\nproviders = ["fips"]\n' + hsm) if "openssl" in one]
    assert found == [
        'f: openssl.providers[0]: found "fips" together with [hsm]: with approved algorithms alone, OpenSSL does not use'
        " pkcs11-provider; allowed: one of them: keys in files with the FIPS provider, or keys in tokens without it"
    ]


@pytest.mark.parametrize(
    ("smaller", "larger", "value"),
    [
        ("connections_per_address", "connections", 2_000),
        ("handshakes_per_address", "handshakes_in_flight", 500),
        ("handshakes_in_flight", "connections", 3_000),
        ("handshakes_per_address", "connections_per_address", 150),
        ("client_hello_bytes", "client_hello_wire_bytes", 500_000),
        ("header_bytes", "head_bytes", 40_000),
        ("target_bytes", "head_bytes", 33_000),
        ("chunk_line_bytes", "chunk_overhead_bytes", 20_000),
        ("http2_stream_window_bytes", "http2_stream_window_most_bytes", 100_000),
    ],
)
def test_a_limit_that_another_one_makes_pointless_is_only_said(smaller: str, larger: str, value: int) -> None:
    text = GOOD + f"[limits]\n{smaller} = {value}\n{larger} = "
    assert check(f"{text}{value}\n") == []
    problems = check(f"{text}{value - 1}\n")
    assert problems == [
        f"f: limits.{smaller}: warning: found {value:_}; "
        f"better: at most {value - 1:_}, the value of {larger}, which is reached first"
    ]
    assert check(f"{text}{value - 1}\n", ("limits", larger)) == []


def test_one_stalled_body_should_leave_half_of_the_window_to_others() -> None:
    text = GOOD + "[limits]\nhttp2_stream_window_most_bytes = 100_000\nhttp2_connection_window_bytes = "
    assert check(f"{text}200_000\n") == []
    assert check(f"{text}199_999\n") == [
        "f: limits.http2_connection_window_bytes: warning: found 199_999; "
        "better: at least 200_000, twice http2_stream_window_most_bytes: one stalled body delays others"
    ]
    assert check(f"{text}199_999\n", ("limits", "http2_connection_window_bytes")) == []


def test_limits_of_a_listener_are_compared_with_what_it_takes_from_the_general_ones() -> None:
    own = "[listener.public.limits]\n{}\n"
    assert check(GOOD + own.format("connections_per_address = 20_000")) == []
    for line in ("connections_per_address = 20_001", "connections = 900\nhandshakes_in_flight = 9"):
        (problem, *_) = check(GOOD + own.format(line))
        assert problem.startswith("f: listener.public.limits.connections_per_address: warning: found ")


def test_what_is_wrong_with_the_general_limits_is_not_said_of_each_listener() -> None:
    text = GOOD + "[limits]\nconnections_per_address = 30_000\n[listener.public.limits]\nhandshakes_per_address = 5\n"
    assert [problem.split(":")[1] for problem in check(text)] == [" limits.connections_per_address"]


@pytest.mark.parametrize(
    ("taken", "metrics"),
    [
        ('[plain]\nbind = "127.0.0.1:80"\n', "127.0.0.1:80"),
        ('[plain]\nbind = "0.0.0.0:80"\n', "127.0.0.1:80"),
        ('[listener.two]\nbind = "127.0.0.1:9464"\n', "0.0.0.0:9464"),
    ],
)
def test_metrics_have_an_address_of_their_own(taken: str, metrics: str) -> None:
    (problem,) = check(f'{GOOD}\n{taken}[admin]\nmetrics_bind = ["127.0.0.1:1", "{metrics}"]\n')
    assert problem.startswith(f'f: admin.metrics_bind[1]: found "{metrics}", which ')


def test_metrics_have_each_address_once() -> None:
    (problem,) = check(f'{GOOD}\n[admin]\nmetrics_bind = ["127.0.0.1:9464", "[::1]:9464", "0.0.0.0:9464"]\n')
    assert problem.startswith(
        'f: admin.metrics_bind[2]: found "0.0.0.0:9464", which admin.metrics_bind[0] already uses'
    )


@pytest.mark.parametrize(("address", "times"), [("0.0.0.0", 1), ("[::]", 1), ("10.0.0.5", 0)])  # noqa: S104 - nothing listens
def test_figures_on_every_address_are_only_said(address: str, times: int) -> None:
    found = check(f'{GOOD}\n[admin]\nmetrics_bind = "{address}:9464"\n')
    assert [one.startswith("f: admin.metrics_bind[0]: warning: found") for one in found] == [True] * times


@pytest.mark.parametrize("table", [("upstream",), ("issuer",), ("payload", "ring")])
def test_without_a_table_of_names_no_name_is_called_unknown(table: tuple[str, ...]) -> None:
    assert cross_check(Config(), "f", Omissions(frozenset({table}))) == []


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (
            '[identity.chat.client_certificates]\nca = "a.pem"\ncrl_url = "http://a.test/"\n',
            "identity.chat.client_certificates.crl_url",
        ),
        ('[ct]\nwatch = "https://a.test/"\n', "ct.watch"),
    ],
)
def test_what_is_fetched_needs_a_place_to_be_kept(table: str, key: str) -> None:
    (problem,) = check(GOOD + table)
    assert problem.startswith(f"f: {key}: found addresses, while rotation.state is not set; allowed: a directory")
    assert check(GOOD + table + '[rotation]\nstate = "state"\n') == []
    assert check(GOOD + table, ("rotation",)) == [], "it may be in what was refused"


def test_a_fleet_needs_a_sealing_key() -> None:
    table = GOOD + '[fleet]\netcd = "https://a.test:2379"\nname = "one"\ncertificate = "n.pem"\nkey = "n.key"\n'
    (problem,) = check(table)
    assert problem.startswith("f: fleet.etcd: found a fleet, while [sealing] has no key; allowed: a key that seals")
    assert check(table + '[sealing]\nkey = "sealing.key"\n') == []
    assert check(table, ("sealing",)) == [], "it may be in what was refused"


def test_internal_issuers_show_their_lists_at_different_addresses() -> None:
    table = '[issuer.{}]\ntype = "internal"\ncrl_url = "http://{}"\n'
    one = GOOD + table.format("a", "ca.test/l.crl")
    found = [problem for problem in check(one + table.format("b", "CA.test:8080/l.crl")) if "crl_url" in problem]
    assert found == [
        'f: issuer.b.crl_url: found "http://CA.test:8080/l.crl", which issuer.a.crl_url already uses; '
        "allowed: an address for each issuer"
    ]
    assert not any("crl_url" in problem for problem in check(one + table.format("b", "ca.test/b.crl")))


def test_a_limit_of_the_fleet_needs_a_fleet() -> None:
    route = '[[route]]\nhost = "chat.example.org"\npath = "/login"\nupstream = "chat"\n'
    rate = 'rate = { requests_per_second = 5.0, burst = 20, per = "fleet" }\n'
    limits = "[limits]\nfleet_connections = 500\n[listener.public.limits]\nfleet_connections = 400\n"
    text = GOOD + route + rate + limits
    found = check(text)
    keys = ["limits.fleet_connections", "listener.public.limits.fleet_connections", "route[1].rate.per"]
    assert sorted(one.partition(": found ")[0].removeprefix("f: ") for one in found) == sorted(keys), found
    sealed = '[sealing]\nkey = "sealing.key"\n[fleet]\netcd = "http://127.0.0.1:2379"\nname = "one"\n'
    assert check(text + sealed) == []
