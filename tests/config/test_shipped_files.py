"""The configurations that come with the package: they load, and `example.toml` tells every key and every default."""

import tomllib
from datetime import timedelta

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.auth import AdminPageConfig, AuthConfig, BasicAuthConfig
from config.client_certificates import ClientCertificatesConfig
from config.crosschecks import cross_check
from config.durations import unit_of, written
from config.loader import load
from config.replies import RedirectConfig, RespondConfig
from config.rotation import KeySpec
from config.route_fields import FieldsConfig
from config.route_paths import RewriteConfig
from config.schema import (
    AcmeConfig,
    AcmeIssuerConfig,
    AlertRepeatConfig,
    Config,
    CookieConfig,
    CredentialConfig,
    EjectionConfig,
    HealthConfig,
    HsmConfig,
    IdentityConfig,
    IssuedCredentialConfig,
    LimitsConfig,
    ListenerConfig,
    ListenerLimitsConfig,
    PayloadConfig,
    RateConfig,
    RingConfig,
    RotationConfig,
    RouteConfig,
    ServerConfig,
    SessionsConfig,
    TokenConfig,
    UpstreamConfig,
)
from config.values import Table
from tests.example_document import EXAMPLE, MODELS, PLACE, all_keys, tables, valid_keys
from tests.plexichat_settings import plexichat_settings

# Keys that another one has replaced: the file shows them commented out, and they may not stand beside it.
FORMER: list[tuple[type[Table], str]] = [
    (RotationConfig, "alert_command"),
    (RotationConfig, "alert_webhook"),
    (AcmeConfig, "http_bind"),
    (AcmeConfig, "https_port"),
]

# Tables within a table, which are looked at by themselves.
INNER: list[type[Table]] = [
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
    RespondConfig,
    RedirectConfig,
    FieldsConfig,
    RewriteConfig,
    AlertRepeatConfig,
    ClientCertificatesConfig,
    AuthConfig,
    BasicAuthConfig,
    AdminPageConfig,
]
# Tables that are commented out as a whole: they need a device, or clients that have keys.
OPTIONAL: list[type[Table]] = [
    HsmConfig,
    TokenConfig,
    RingConfig,
    SessionsConfig,
    RespondConfig,
    RedirectConfig,
    FieldsConfig,
    RewriteConfig,
    ClientCertificatesConfig,
    AuthConfig,
    BasicAuthConfig,
    AdminPageConfig,
]


TOP_LEVEL_KEYS = [
    name
    for name, field in Config.model_fields.items()
    if (isinstance(field.default, bool | float | str | None) and name != "hsm") or name == "error_pages"
]
FIELDS = [
    *((model, name) for model in MODELS for name in model.model_fields),
    *((Config, name) for name in TOP_LEVEL_KEYS),
]


def test_all_tables_of_the_schema_are_looked_at() -> None:
    assert len(Config.model_fields) - len(TOP_LEVEL_KEYS) == len(MODELS) - len(INNER)
    assert set(all_keys()) == {Config.key_of(name) for name in Config.model_fields}


@pytest.mark.parametrize("name", ["example.toml", "plexichat.toml"])
def test_it_loads_without_a_warning(name: str) -> None:
    assert load(PLACE / name).warnings == ()


def test_the_keys_that_are_commented_out_are_valid_too() -> None:
    assert cross_check(Config.model_validate(valid_keys()), "example.toml") == []


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_example_has_every_key(model: type[Table], name: str) -> None:
    assert any(model.key_of(name) in table for table in tables(all_keys(), model))


def as_written(value: object) -> object:
    """A value as it stands in a file."""
    match value:
        case tuple():
            return list(value)
        case timedelta():
            return written(value)
        case KeySpec():
            return str(value)
        case _:
            return value


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_example_has_every_default(model: type[Table], name: str) -> None:
    field, key = model.model_fields[name], model.key_of(name)
    default, unit = field.default, unit_of(field)
    if unit is not None and default is not None:
        default *= unit
    document = all_keys() if model in OPTIONAL else tomllib.loads(EXAMPLE.read_text())
    active = [table[key] for table in tables(document, model) if key in table]
    if default is None:
        shown = {
            (IdentityConfig, "certificate"),
            (IdentityConfig, "key"),
            (RotationConfig, "state"),
            (UpstreamConfig, "cookie"),
            (ListenerConfig, "upstream"),
            (HealthConfig, "path"),
            (UpstreamConfig, "health"),
            (RouteConfig, "upstream"),
            (PayloadConfig, "sessions"),
        }
        said_by_a_word: dict[tuple[type[Table], str], list[object]] = {(Config, "workers"): ["auto"]}
        if (model, name) not in shown and model not in OPTIONAL:
            assert active == said_by_a_word.get((model, name), [])  # no default: the key is commented out
    elif isinstance(default, BaseModel):
        assert active != []
    elif (model, name) in FORMER:
        assert active == []
    elif default is not PydanticUndefined and (model, name) not in {
        (IdentityConfig, "credential"),
        (FieldsConfig, "remove"),  # a default would show nothing
        (AuthConfig, "path"),
        (AuthConfig, "copy"),
    }:
        assert as_written(default) in active


@pytest.mark.parametrize("name", LimitsConfig.model_fields)
def test_every_limit_has_a_reason(name: str) -> None:
    lines = EXAMPLE.read_text().splitlines()
    mark = "# " if LimitsConfig.model_fields[name].default is None else ""
    line = next(index for index, line in enumerate(lines) if line.startswith(f"{mark}{LimitsConfig.key_of(name)} = "))
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
