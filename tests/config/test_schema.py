"""The shape of the configuration file."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from config.schema import (
    MOST_WORKERS,
    PAGE_UPSTREAM,
    Config,
    CredentialConfig,
    CredentialPreference,
    IdentityConfig,
    ListenerConfig,
    LogConfig,
    LogFormat,
    OpensslConfig,
    RouteConfig,
    UpstreamConfig,
)

IDENTITY: dict[str, Any] = {"names": ["chat.example.org"], "certificate": "chat.pem", "key": "chat.key"}
UPSTREAM: dict[str, Any] = {"servers": ["http://127.0.0.1:8000"]}
ROUTE = {"host": "chat.example.org", "upstream": "chat"}


def refused(model: type[BaseModel], document: Mapping[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return str(caught.value)


def test_the_smallest_tables_have_the_defaults_of_the_contract() -> None:
    identity = IdentityConfig.model_validate(IDENTITY)
    assert identity.prefer is CredentialPreference.CLASSICAL
    upstream = UpstreamConfig.model_validate(UPSTREAM)
    assert (upstream.ca, upstream.server_name, upstream.certificate, upstream.key) == (None, None, None, None)
    route = RouteConfig.model_validate(ROUTE)
    assert (route.path, route.pq, route.body_bytes) == ("/", None, None)
    assert (LogConfig().format, LogConfig().file, LogConfig().query) == (LogFormat.JSON, None, False)
    assert (OpensslConfig().providers, OpensslConfig().module_path) == ((), None)


def test_a_configuration_without_tables_has_defaults() -> None:
    config = Config()
    assert (config.listener, config.identity, config.upstream, config.route) == ({}, {}, {}, ())


@pytest.mark.parametrize(
    ("levels", "is_safe"), [((), False), (("high", "critical"), False), (("high", "quantum-safe"), True)]
)
def test_one_listener_makes_a_configuration_quantum_safe(levels: Sequence[str], is_safe: bool) -> None:  # noqa: FBT001
    listeners = {f"l{number}": {"bind": f"[::]:{number}", "level": one} for number, one in enumerate(levels, 1)}
    assert Config.model_validate({"listener": listeners}).is_quantum_safe == is_safe


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Config().route = ()


def test_an_identity_has_one_credential_in_its_table_or_several_in_tables_of_their_own() -> None:
    single = IdentityConfig.model_validate(IDENTITY)
    assert single.credentials == (CredentialConfig(certificate="chat.pem", key=("chat.key",)),)
    several = [{"certificate": "a.pem", "key": "a.key"}, {"certificate": "b.pem", "key": "b.key"}]
    identity = IdentityConfig.model_validate({"names": ["Chat.example.org"], "credential": several})
    assert identity.names == ("chat.example.org",)
    assert [credential.key for credential in identity.credentials] == [("a.key",), ("b.key",)]


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"certificate": None}, "certificate"),
        ({"key": None}, "certificate"),
        ({"key": None, "certificate": None}, "certificate"),
        ({"credential": [{"certificate": "b.pem", "key": "b.key"}]}, "certificate"),
        ({"names": []}, "names"),
        ({"names": "chat.example.org"}, "names"),
        ({"prefer": "ecdsa"}, "prefer"),
        ({"key": ""}, "key"),
        ({"key": "a\0b"}, "key"),
    ],
)
def test_other_identities_are_refused(change: dict[str, object], about: str) -> None:
    document = {key: value for key, value in {**IDENTITY, **change}.items() if value is not None}
    assert about in refused(IdentityConfig, document)


def test_a_key_pasted_into_the_file_is_refused_and_not_repeated() -> None:
    secret = "-----BEGIN MC4CAQ"  # noqa: S105
    message = refused(IdentityConfig, {**IDENTITY, "key": secret})
    assert "not its content" in message
    assert "MC4CAQ" not in message


@pytest.mark.parametrize("provider", ["../evil", "a b", "", "x.so", "a\nb"])
def test_providers_are_plain_names(provider: str) -> None:
    refused(OpensslConfig, {"providers": [provider]})
    assert OpensslConfig.model_validate({"providers": ["oqsprovider"]}).providers == ("oqsprovider",)


def test_tables_keep_their_names() -> None:
    assert list(Config.model_validate({"upstream": {"Chat-2.a_b": UPSTREAM}}).upstream) == ["Chat-2.a_b"]


@pytest.mark.parametrize("name", ["a b", "", "-a", "a" * 65, "ä", "a\n"])
def test_names_of_tables_are_plain(name: str) -> None:
    refused(Config, {"upstream": {name: UPSTREAM}})


def test_unknown_keys_are_refused_everywhere() -> None:
    tables: list[tuple[type[BaseModel], dict[str, Any]]] = [
        (Config, {}),
        (ListenerConfig, {"bind": "127.0.0.1:1"}),
        (IdentityConfig, IDENTITY),
        (CredentialConfig, {"certificate": "a", "key": "b"}),
        (UpstreamConfig, UPSTREAM),
        (RouteConfig, ROUTE),
        (OpensslConfig, {}),
        (LogConfig, {}),
    ]
    for model, document in tables:
        assert "colour" in refused(model, {**document, "colour": 1})


def test_switches_are_true_or_false() -> None:
    assert LogConfig.model_validate({"query": True}).query
    refused(LogConfig, {"query": 1})
    refused(LogConfig, {"query": "true"})


def test_spreading_is_about_the_keys_beside_it() -> None:
    both = ["pkcs11:token=a;object=x", "pkcs11:token=b;object=x"]
    (credential,) = IdentityConfig.model_validate({**IDENTITY, "key": both, "spread": True}).credentials
    assert isinstance(credential, CredentialConfig)
    assert (len(credential.key), credential.spread) == (2, True)
    several = [{"certificate": "a.pem", "key": both, "spread": True}]
    (credential,) = IdentityConfig.model_validate({"names": ["a.test"], "credential": several}).credentials
    assert isinstance(credential, CredentialConfig)
    assert credential.spread
    assert "spread" in refused(IdentityConfig, {"names": ["a.test"], "credential": several, "spread": True})


@pytest.mark.parametrize("name", ["nobody", "_apt", "www-data", "a.b", "machine$", "A" * 32])
def test_accounts_are_named_as_the_system_names_them(name: str) -> None:
    config = Config.model_validate({"user": name, "group": name})
    assert (config.user, config.group) == (name, name)


@pytest.mark.parametrize("name", ["", "0", "1000", "-a", "a b", "a:b", "a\n", "$", "A" * 33])
@pytest.mark.parametrize("key", ["user", "group"])
def test_other_accounts_are_refused(key: str, name: str) -> None:
    assert "a name of the system's user or group database" in refused(Config, {key: name})


@pytest.mark.parametrize(("value", "workers"), [("auto", None), (1, 1), (MOST_WORKERS, MOST_WORKERS)])
def test_workers_are_a_number_or_as_many_as_there_are_cores(value: object, workers: int | None) -> None:
    assert Config.model_validate({"workers": value}).workers == workers


@pytest.mark.parametrize("value", [0, -1, MOST_WORKERS + 1, True, 1.0, "2", "", [2]])
def test_other_numbers_of_workers_are_refused(value: object) -> None:
    assert f"a number from 1 to {MOST_WORKERS}" in refused(Config, {"workers": value})


def test_each_server_of_a_passthrough_is_an_upstream_of_its_own() -> None:
    passed = {"a.test": "tcp://10.0.0.1:1", "b.test": "tcp://10.0.0.1:1", "c.test": "unix:/run/c"}
    config = Config.model_validate({"listener": {"public": {"bind": "127.0.0.1:0", "passthrough": passed}}})
    assert list(config.all_upstreams) == ["tcp://10.0.0.1:1", "unix:/run/c"]


def test_the_admin_page_is_an_upstream_where_a_route_has_it() -> None:
    page = {"host": "page.test", "admin_page": {"tokens": "page.tokens"}}
    admin = {"page_socket": "/run/p/page.sock"}
    upstreams = Config.model_validate({"route": [page], "admin": admin}).all_upstreams
    assert list(upstreams) == [PAGE_UPSTREAM]
    assert [str(one.address) for one in upstreams[PAGE_UPSTREAM].servers] == ["unix:/run/p/page.sock"]
    assert Config.model_validate({"admin": admin}).all_upstreams == {}
    assert Config.model_validate({"route": [page]}).all_upstreams == {}
