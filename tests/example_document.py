"""`config/example.toml` with every key, for those who look at all of them."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import config
from config.routes.auth import AdminPageConfig, AuthConfig, BasicAuthConfig
from config.routes.fields import FieldsConfig
from config.routes.paths import RewriteConfig
from config.routes.replies import RedirectConfig, RespondConfig
from config.schema import (
    AcmeIssuerConfig,
    AdminConfig,
    AlertRepeatConfig,
    AlertsConfig,
    AuditConfig,
    BackupConfig,
    Config,
    CookieConfig,
    CredentialConfig,
    EjectionConfig,
    FleetConfig,
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
from config.tables.client_certificates import ClientCertificatesConfig
from config.tables.ct import CtConfig
from config.tables.plain import PlainConfig
from config.values.kinds import Table

PLACE = Path(config.__file__).parent
EXAMPLE = PLACE / "example.toml"


def all_keys() -> dict[str, Any]:
    """The example with the keys that are commented out put in."""
    return tomllib.loads(re.sub(r"(?m)^# (?=[a-z][a-z_0-9]* = |\[)", "", EXAMPLE.read_text()))


def valid_keys() -> dict[str, Any]:
    """All keys without those that others have replaced, or that exclude others."""
    keys = all_keys()
    del keys["upstream"]["rooms"]["hash_on"]  # for another balance
    del keys["hsm"]["token"]["plexi"]["pin_credential"]  # for another place
    del keys["listener"]["public"]["http3_port"]  # for http3, which excludes PROXY headers
    keys["listener"]["public"] |= {"trusted_peers": ["10.0.0.5"]}  # who sends PROXY headers
    keys["fleet"]["etcd"] = ["https://10.0.0.1:2379"]  # whose nodes share limits
    return keys


def tables(document: Mapping[str, Any], model: type[Table]) -> list[Mapping[str, Any]]:
    """The tables of one kind in a document, which need not have any."""

    def of(name: str) -> list[Mapping[str, Any]]:
        return list(document.get(name, {}).values())

    def only(name: str) -> list[Mapping[str, Any]]:
        return [document[name]] if name in document else []

    def inside(parents: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
        return [parent[name] for parent in parents if name in parent]

    credentials = [entry for identity in of("identity") for entry in identity.get("credential", [])]
    kinds: dict[type[Table], list[Mapping[str, Any]]] = {
        ListenerConfig: of("listener"),
        ListenerLimitsConfig: inside(of("listener"), "limits"),
        IdentityConfig: of("identity"),
        ClientCertificatesConfig: inside(of("identity"), "client_certificates"),
        CredentialConfig: [entry for entry in credentials if "issuer" not in entry],
        IssuedCredentialConfig: [entry for entry in credentials if "issuer" in entry],
        InternalIssuerConfig: [entry for entry in of("issuer") if entry["type"] == "internal"],
        AcmeIssuerConfig: [entry for entry in of("issuer") if entry["type"] == "acme"],
        PlainConfig: only("plain"),
        CtConfig: only("ct"),
        RotationConfig: only("rotation"),
        AlertsConfig: only("alerts"),
        AlertRepeatConfig: inside(only("alerts"), "repeat"),
        UpstreamConfig: of("upstream"),
        ServerConfig: [entry for one in of("upstream") for entry in one["servers"] if isinstance(entry, dict)],
        CookieConfig: inside(of("upstream"), "cookie"),
        HealthConfig: inside(of("upstream"), "health"),
        EjectionConfig: inside(of("upstream"), "ejection"),
        RouteConfig: document.get("route", []),
        RateConfig: inside(document.get("route", []), "rate"),
        RespondConfig: inside(document.get("route", []), "respond"),
        RedirectConfig: inside(document.get("route", []), "redirect"),
        FieldsConfig: inside(document.get("route", []), "request_headers"),
        RewriteConfig: inside(document.get("route", []), "rewrite"),
        AuthConfig: inside(document.get("route", []), "auth"),
        BasicAuthConfig: inside(document.get("route", []), "basic_auth"),
        AdminPageConfig: inside(document.get("route", []), "admin_page"),
        HsmConfig: only("hsm"),
        TokenConfig: [entry for hsm in only("hsm") for entry in hsm["token"].values()],
        OpensslConfig: only("openssl"),
        LimitsConfig: only("limits"),
        PayloadConfig: only("payload"),
        RingConfig: [entry for payload in only("payload") for entry in payload.get("ring", {}).values()],
        SessionsConfig: inside(only("payload"), "sessions"),
        LogConfig: only("log"),
        Config: [document],
        AdminConfig: only("admin"),
        AuditConfig: only("audit"),
        BackupConfig: only("backup"),
        FleetConfig: only("fleet"),
        SealingConfig: only("sealing"),
    }
    return kinds[model]


MODELS: list[type[Table]] = [
    ListenerConfig,
    ListenerLimitsConfig,
    IdentityConfig,
    ClientCertificatesConfig,
    CredentialConfig,
    IssuedCredentialConfig,
    InternalIssuerConfig,
    AcmeIssuerConfig,
    PlainConfig,
    CtConfig,
    RotationConfig,
    AlertsConfig,
    AlertRepeatConfig,
    UpstreamConfig,
    ServerConfig,
    CookieConfig,
    HealthConfig,
    EjectionConfig,
    RouteConfig,
    RateConfig,
    RespondConfig,
    RedirectConfig,
    FieldsConfig,
    RewriteConfig,
    AuthConfig,
    BasicAuthConfig,
    AdminPageConfig,
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
    BackupConfig,
    FleetConfig,
    SealingConfig,
]
