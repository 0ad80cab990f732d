"""The configurations that come with the package: they load, and `example.toml` tells every key and every default."""

import tomllib
from datetime import timedelta

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.crosschecks.crosschecks import cross_check
from config.loading.loader import load
from config.routes.auth import AdminPageConfig, AuthConfig, BasicAuthConfig
from config.routes.fields import FieldsConfig
from config.routes.paths import RewriteConfig
from config.routes.replies import RedirectConfig, RespondConfig
from config.schema import (
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
from config.tables.client_certificates import ClientCertificatesConfig
from config.tables.rotation import KeySpec
from config.values.durations import unit_of, written
from config.values.kinds import Table
from tests.example_document import EXAMPLE, MODELS, PLACE, all_keys, tables, valid_keys
from tests.plexichat_settings import plexichat_settings

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
FIELDS: list[tuple[type[Table], str]] = [
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


@pytest.mark.at_length
def test_example_has_every_key() -> None:
    assert len(FIELDS) > 250
    keys = {model: {key for table in tables(all_keys(), model) for key in table} for model, _ in FIELDS}
    assert [(model, name) for model, name in FIELDS if model.key_of(name) not in keys[model]] == []


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


# Without a default, and shown anyway.
SHOWN: set[tuple[type[Table], str]] = {
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
# With another value than the default, which would show nothing.
SHOWN_BY_ANOTHER: set[tuple[type[Table], str]] = {
    (IdentityConfig, "credential"),
    (FieldsConfig, "remove"),
    (AuthConfig, "path"),
    (AuthConfig, "copy"),
}
SAID_BY_A_WORD: dict[tuple[type[Table], str], list[object]] = {(Config, "workers"): ["auto"]}


def shows_default(model: type[Table], name: str, active: list[object]) -> bool:
    """Whether the values of a key in the file are what they should be: its default, or none if it has none."""
    field = model.model_fields[name]
    default, unit = field.default, unit_of(field)
    if default is None:
        # no default: the key is commented out
        return (model, name) in SHOWN or model in OPTIONAL or active == SAID_BY_A_WORD.get((model, name), [])
    if isinstance(default, BaseModel):
        return active != []
    if default is PydanticUndefined or (model, name) in SHOWN_BY_ANOTHER:
        return True
    return as_written(default if unit is None else default * unit) in active


def test_example_has_every_default() -> None:
    with_all, plain = all_keys(), tomllib.loads(EXAMPLE.read_text())
    for model, name in FIELDS:
        key = model.key_of(name)
        active = [table[key] for table in tables(with_all if model in OPTIONAL else plain, model) if key in table]
        assert shows_default(model, name, active), f"{model.__name__}.{key}: {active}"


def test_every_limit_has_a_reason() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for name, field in LimitsConfig.model_fields.items():
        mark = "# " if field.default is None else ""
        start = f"{mark}{LimitsConfig.key_of(name)} = "
        line = next(index for index, line in enumerate(lines) if line.startswith(start)) - bool(mark)
        while " = " in lines[line] and not lines[line].startswith("#"):
            line -= 1
        assert lines[line].startswith("# "), name


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
