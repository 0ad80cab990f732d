"""The configurations that come with the package: they load, and `example.toml` tells every key and every default."""

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import config
from config.crosschecks import cross_check
from config.loader import load
from config.rotation import KeySpec
from config.schema import (
    AcmeConfig,
    AcmeIssuerConfig,
    AdminConfig,
    AuditConfig,
    Config,
    CookieConfig,
    CredentialConfig,
    EjectionConfig,
    HealthConfig,
    HsmConfig,
    IdentityConfig,
    InternalIssuerConfig,
    IssuedCredentialConfig,
    LimitsConfig,
    ListenerConfig,
    ListenerLimitsConfig,
    LogConfig,
    OpensslConfig,
    PayloadConfig,
    RateConfig,
    RingConfig,
    RotationConfig,
    RouteConfig,
    SealingConfig,
    ServerConfig,
    SessionsConfig,
    TokenConfig,
    UpstreamConfig,
)
from tests.plexichat_settings import plexichat_settings

PLACE = Path(config.__file__).parent
EXAMPLE = PLACE / "example.toml"


def all_keys() -> dict[str, Any]:
    """The example with the keys that are commented out put in."""
    return tomllib.loads(re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", EXAMPLE.read_text()))


def tables(document: Mapping[str, Any], model: type[BaseModel]) -> list[Mapping[str, Any]]:
    identities = list(document["identity"].values())
    upstreams = list(document["upstream"].values())
    credentials = [entry for identity in identities for entry in identity.get("credential", [])]
    kinds: dict[type[BaseModel], list[Mapping[str, Any]]] = {
        ListenerConfig: list(document["listener"].values()),
        ListenerLimitsConfig: [entry["limits"] for entry in document["listener"].values()],
        IdentityConfig: identities,
        CredentialConfig: [entry for entry in credentials if "issuer" not in entry],
        IssuedCredentialConfig: [entry for entry in credentials if "issuer" in entry],
        InternalIssuerConfig: [entry for entry in document["issuer"].values() if entry["type"] == "internal"],
        AcmeIssuerConfig: [entry for entry in document["issuer"].values() if entry["type"] == "acme"],
        AcmeConfig: [document["acme"]],
        RotationConfig: [document["rotation"]],
        UpstreamConfig: upstreams,
        ServerConfig: [entry for upstream in upstreams for entry in upstream["servers"] if isinstance(entry, dict)],
        CookieConfig: [upstream["cookie"] for upstream in upstreams if "cookie" in upstream],
        HealthConfig: [upstream["health"] for upstream in upstreams if "health" in upstream],
        EjectionConfig: [upstream["ejection"] for upstream in upstreams if "ejection" in upstream],
        RouteConfig: document["route"],
        RateConfig: [route["rate"] for route in document["route"] if "rate" in route],
        HsmConfig: [document["hsm"]] if "hsm" in document else [],
        TokenConfig: list(document["hsm"]["token"].values()) if "hsm" in document else [],
        OpensslConfig: [document["openssl"]],
        LimitsConfig: [document["limits"]],
        PayloadConfig: [document["payload"]],
        RingConfig: list(document["payload"].get("ring", {}).values()),
        SessionsConfig: [document["payload"]["sessions"]] if "sessions" in document["payload"] else [],
        LogConfig: [document["log"]],
        Config: [document],
        AdminConfig: [document["admin"]],
        AuditConfig: [document["audit"]],
        SealingConfig: [document["sealing"]],
    }
    return kinds[model]


MODELS: list[type[BaseModel]] = [
    ListenerConfig,
    ListenerLimitsConfig,
    IdentityConfig,
    CredentialConfig,
    IssuedCredentialConfig,
    InternalIssuerConfig,
    AcmeIssuerConfig,
    AcmeConfig,
    RotationConfig,
    UpstreamConfig,
    ServerConfig,
    CookieConfig,
    HealthConfig,
    EjectionConfig,
    RouteConfig,
    RateConfig,
    HsmConfig,
    TokenConfig,
    OpensslConfig,
    LimitsConfig,
    PayloadConfig,
    RingConfig,
    SessionsConfig,
    LogConfig,
    AdminConfig,
    AuditConfig,
    SealingConfig,
]
# Tables within a table, which are looked at by themselves.
INNER: list[type[BaseModel]] = [
    AcmeIssuerConfig,
    IssuedCredentialConfig,
    CredentialConfig,
    ListenerLimitsConfig,
    RateConfig,
    ServerConfig,
    CookieConfig,
    HealthConfig,
    EjectionConfig,
    TokenConfig,
    RingConfig,
    SessionsConfig,
]
# Tables that are commented out as a whole: they need a device, or clients that have keys.
OPTIONAL: list[type[BaseModel]] = [HsmConfig, TokenConfig, RingConfig, SessionsConfig]


TOP_LEVEL_KEYS = [
    name
    for name, field in Config.model_fields.items()
    if isinstance(field.default, bool | float | str | None) and name != "hsm"
]
FIELDS = [
    *((model, name) for model in MODELS for name in model.model_fields),
    *((Config, name) for name in TOP_LEVEL_KEYS),
]


def test_all_tables_of_the_schema_are_looked_at() -> None:
    assert len(Config.model_fields) - len(TOP_LEVEL_KEYS) == len(MODELS) - len(INNER)
    assert set(all_keys()) == set(Config.model_fields)


@pytest.mark.parametrize("name", ["example.toml", "plexichat.toml"])
def test_it_loads_without_a_warning(name: str) -> None:
    assert load(PLACE / name).warnings == ()


def test_the_keys_that_are_commented_out_are_valid_too() -> None:
    keys = all_keys()
    keys["upstream"]["rooms"] |= {"hash_on": None}  # for another balance
    keys["hsm"]["token"]["plexi"] |= {"pin_credential": None}  # for another place
    assert cross_check(Config.model_validate(keys), "example.toml") == []


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_example_has_every_key(model: type[BaseModel], name: str) -> None:
    assert any(name in table for table in tables(all_keys(), model))


def as_written(value: object) -> object:
    """A value as it stands in a file."""
    match value:
        case tuple():
            return list(value)
        case timedelta():
            return f"{value.days}d"
        case KeySpec():
            return str(value)
        case _:
            return value


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_example_has_every_default(model: type[BaseModel], name: str) -> None:
    default = model.model_fields[name].default
    document = all_keys() if model in OPTIONAL else tomllib.loads(EXAMPLE.read_text())
    active = [table[name] for table in tables(document, model) if name in table]
    if default is None:
        shown = {
            (IdentityConfig, "certificate"),
            (IdentityConfig, "key"),
            (RotationConfig, "state"),
            (UpstreamConfig, "cookie"),
            (UpstreamConfig, "health"),
            (PayloadConfig, "sessions"),
        }
        said_by_a_word: dict[tuple[type[BaseModel], str], list[object]] = {(Config, "workers"): ["auto"]}
        if (model, name) not in shown and model not in OPTIONAL:
            assert active == said_by_a_word.get((model, name), [])  # no default: the key is commented out
    elif isinstance(default, BaseModel):
        assert active != []
    elif default is not PydanticUndefined and (model, name) != (IdentityConfig, "credential"):
        assert as_written(default) in active


@pytest.mark.parametrize("name", LimitsConfig.model_fields)
def test_every_limit_has_a_reason(name: str) -> None:
    lines = EXAMPLE.read_text().splitlines()
    mark = "# " if LimitsConfig.model_fields[name].default is None else ""
    line = next(index for index, line in enumerate(lines) if line.startswith(f"{mark}{name} = "))
    line -= bool(mark)
    while " = " in lines[line] and not lines[line].startswith("#"):
        line -= 1
    assert lines[line].startswith("# ")


def test_plexichat_takes_attachments_of_100_mb_and_its_gateway() -> None:
    loaded = load(PLACE / "plexichat.toml").config
    paths = {route.path: route for route in loaded.route}
    assert (paths["/api"].body_bytes or 0) > 100 * 1_024 * 1_024
    assert "/gateway" in paths
    assert {route.upstream for route in loaded.route} == {"plexichat"}


# What the code of PlexiChat reads: `server.host` and `server.port` in main.py, the others in utils/net.py.
READ_BY_PLEXICHAT = {"server.host", "server.port", "api.trusted_proxies", "api.trust_x_forwarded_for"}


def test_plexichat_is_told_only_what_it_reads() -> None:
    told = plexichat_settings()
    assert told.keys() == READ_BY_PLEXICHAT
    (server,) = load(PLACE / "plexichat.toml").config.upstream["plexichat"].servers
    assert str(server.address) == f"http://{told['server.host']}:{told['server.port']}"
    assert told["api.trusted_proxies"] == ["127.0.0.1"]
    assert told["api.trust_x_forwarded_for"] is True
