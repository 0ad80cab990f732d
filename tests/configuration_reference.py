"""The reference of all keys, for docs/configuration.md: made from the schema, from `example.toml` and from the rules of a reload.

The schema has each key, its type, its bounds and its default. The comments of `example.toml` have the reasons: the one before a table
is about the table, the one before a key is about that key and those on the lines after it. The rules say what a reload does with it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network
from textwrap import wrap
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.diff import diff
from config.effects import Difference, Effect, EffectKind, effect_of
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
from config.tables.rotation import KeySpec
from config.tables.upstream import HashSource
from config.values.addresses import Bind
from config.values.durations import unit_of, written
from config.values.kinds import PathRole, Table
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.webhook import Webhook

_WIDTH: Final = 100
_HEADER = re.compile(r"(?:# )?\[\[?([A-Za-z0-9_.-]+)\]\]?$")
_KEY = re.compile(r"(?:# )?([a-z][a-z0-9_]*) = ")
_GROUP = re.compile(r"# --- .+$")
_ITEM = re.compile(r" {2,}(\S+) {2,}(.+)$")


# --- The comments of example.toml --------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Comment:
    """A comment and the keys that it is about; none, where it stands before a table."""

    lines: list[str]
    keys: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Comments:
    """The comments of a configuration: before each table, and before keys, by the header of their table ("" is the top level)."""

    tables: dict[str, Comment] = field(default_factory=dict)
    keys: dict[str, list[Comment]] = field(default_factory=dict)

    def about(self, headers: tuple[str, ...], key: str) -> Comment | None:
        """The first comment about a key in these tables."""
        found = (one for header in headers for one in self.keys.get(header, []) if key in one.keys and one.lines)
        return next(found, None)


def comments(text: str) -> Comments:
    """Read the comments of a configuration in which further keys and tables are commented out."""
    found, header, pending = Comments(), "", list[str]()
    current: Comment | None = None
    for line in text.splitlines():
        if (table := _HEADER.match(line)) is not None:
            header, current = table[1], None
            if pending:
                found.tables.setdefault(header, Comment(pending))
            pending = []
        elif _GROUP.match(line) is not None:
            current, pending = None, []
        elif (key := _KEY.match(line)) is not None:
            if current is None or pending:
                current = Comment(pending)
                found.keys.setdefault(header, []).append(current)
            current.keys.append(key[1])
            pending = []
        elif line.startswith("#"):
            pending.append(line[1:].removeprefix(" ") if not _ITEM.match(line[1:]) else line[1:])
        else:
            current, pending = None, []
    return found


def prose(lines: list[str]) -> Iterator[str]:
    """A comment in Markdown: its lines made one paragraph, and `word   meaning` on lines of their own a list."""
    paragraph, items = list[str](), list[list[str]]()
    for line in lines:
        if (item := _ITEM.match(line)) is not None:
            items.append([f"- `{item[1]}`: {item[2]}"])
        elif items and line.startswith("  "):
            items[-1].append(line.strip())
        elif line and not items:
            paragraph.append(line)
        elif line:  # continues behind a list
            yield from _flushed(paragraph, items)
            paragraph, items = [line], []
    yield from _flushed(paragraph, items)


def _flushed(paragraph: list[str], items: list[list[str]]) -> Iterator[str]:
    if paragraph:
        yield from [*_wrapped(_escaped(" ".join(paragraph))), ""]
    for item in items:
        yield from _wrapped(_escaped(" ".join(item)), "  ")
    if items:
        yield ""


def _wrapped(text: str, indent: str = "") -> list[str]:
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)  # `code` stays on one line
    lines = wrap(whole, _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return [line.replace("\0", " ") for line in lines]


def _escaped(text: str) -> str:
    """What Markdown would take for emphasis made plain, outside of `code` and addresses; keys and tables made code."""
    parts = re.split(r"(`[^`]*`|https?://[^ \"]+)", text)
    for index in range(0, len(parts), 2):
        marked = re.sub(
            r"(\[\[?[a-z][A-Za-z.-]*\]\]?)|\b((?:[a-z]+\.)*[a-z]+(?:_[a-z0-9]+)+(?: = \S+\b)?)", r"`\1\2`", parts[index]
        )
        parts[index] = re.sub(r"(`[^`]*`)|([*_<])", lambda one: one[1] or f"\\{one[2]}", marked)
    return "".join(parts)


# --- The keys of the schema --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the configuration: how it is called, its model, where its comments stand, and the location of its keys in rules.

    The comments before the tables `intros` of the example are shown. `like`: it has the keys of another section.
    """

    title: str
    model: type[Table]
    headers: tuple[str, ...]
    place: tuple[str, ...]
    intros: tuple[str, ...] = ()
    like: str = ""

    @property
    def path(self) -> str:
        """What a key of it is called before its own name."""
        return ".".join("NAME" if part == "*" else part for part in self.place).removesuffix(
            ".NAME" if self.is_list else ""
        )

    @property
    def is_list(self) -> bool:
        """Whether such tables stand in a list, and have no names."""
        return self.title.startswith("[[")


def _section(title: str, model: type[Table], place: str, *headers: str, intros: int = 1, like: str = "") -> Section:
    found = headers or (place,)
    parts = tuple(part for part in place.replace("NAME", "*").split(".") if part)
    return Section(title, model, found, parts, found[:intros], like)


SECTIONS: Final = (
    _section("Top-level keys", Config, "", ""),
    _section("[listener.NAME]", ListenerConfig, "listener.NAME", "listener.public", "listener.irc"),
    _section(
        "[listener.NAME.limits]",
        ListenerLimitsConfig,
        "listener.NAME.limits",
        "listener.public.limits",
        like="[limits]",
    ),
    _section(
        *("[identity.NAME]", IdentityConfig, "identity.NAME"),
        *("identity.chat", "identity.files", "identity.vault", "identity.self-rotating", "identity.public"),
        intros=5,
    ),
    _section(
        *("[identity.NAME.client_certificates]", ClientCertificatesConfig, "identity.NAME.client_certificates"),
        "identity.chat.client_certificates",
    ),
    _section(
        "[[identity.NAME.credential]] with files",
        CredentialConfig,
        "identity.NAME.credential",
        "",
        like="[identity.NAME]",
    ),
    _section(
        *("[[identity.NAME.credential]] with an issuer", IssuedCredentialConfig, "identity.NAME.credential"),
        "identity.self-rotating.credential",
        intros=0,
    ),
    _section('[issuer.NAME] of type "internal"', InternalIssuerConfig, "issuer.NAME", "issuer.internal"),
    _section('[issuer.NAME] of type "acme"', AcmeIssuerConfig, "issuer.NAME", "issuer.letsencrypt"),
    _section("[plain]", PlainConfig, "plain"),
    _section("[ct]", CtConfig, "ct"),
    _section("[rotation]", RotationConfig, "rotation"),
    _section("[alerts]", AlertsConfig, "alerts"),
    _section("[alerts.repeat]", AlertRepeatConfig, "alerts.repeat"),
    _section(
        *("[upstream.NAME]", UpstreamConfig, "upstream.NAME"),
        *("upstream.chat", "upstream.irc", "upstream.files", "upstream.rooms"),
    ),
    _section("[upstream.NAME.ejection]", EjectionConfig, "upstream.NAME.ejection", "upstream.chat.ejection"),
    _section("[upstream.NAME.health]", HealthConfig, "upstream.NAME.health", "upstream.files.health"),
    _section("[upstream.NAME.cookie]", CookieConfig, "upstream.NAME.cookie", "upstream.rooms.cookie"),
    _section("[[route]]", RouteConfig, "route.NAME", "route"),
    _section("[hsm]", HsmConfig, "hsm"),
    _section("[hsm.token.NAME]", TokenConfig, "hsm.token.NAME", "hsm.token.plexi"),
    _section("[sealing]", SealingConfig, "sealing"),
    _section("[audit]", AuditConfig, "audit"),
    _section("[backup]", BackupConfig, "backup"),
    _section("[fleet]", FleetConfig, "fleet"),
    _section("[openssl]", OpensslConfig, "openssl"),
    _section("[limits]", LimitsConfig, "limits"),
    _section("[payload]", PayloadConfig, "payload"),
    _section("[payload.ring.NAME]", RingConfig, "payload.ring.NAME", "payload.ring.chat"),
    _section("[payload.sessions]", SessionsConfig, "payload.sessions"),
    _section("[log]", LogConfig, "log"),
    _section("[admin]", AdminConfig, "admin"),
)
"""All tables, in the order of the document."""

INLINE: Final = (
    *(AdminPageConfig, AuthConfig, BasicAuthConfig, FieldsConfig, RateConfig, RedirectConfig, RespondConfig),
    *(RewriteConfig, ServerConfig),
)
"""Tables that stand in one line, as the value of a key."""

_UNITS: Final = {
    "bytes_per_second": "bytes per second",
    "per_second_per_address": "per second",
    "per_second": "per second",
    "per_minute": "per minute",
    "bytes": "bytes",
    "percent": "percent",
    "lines": "lines",
}

_PLAIN: Final[Mapping[type, str]] = {
    bool: "`true` or `false`",
    Bind: 'address and port, such as `"0.0.0.0:443"`',
    IPv4Network: "network or address",
    timedelta: 'time, such as `"90d"`, `"12h"`, `"30m"`',
    KeySpec: '`"ALGORITHM@PLACE"`',
    HashSource: '`"address"`, `"header:NAME"` or `"cookie:NAME"`',
    Pkcs11Uri: "path of a file, or PKCS#11 URI",
    ServerConfig: 'address such as `"http://host:port"`, or table',
    FieldsConfig: "table",
    RewriteConfig: "table",
    RateConfig: "table",
    Webhook: 'address such as `"https://host/path"`',
    str: "text",
}

_PATHS: Final[Mapping[PathRole, str]] = {
    PathRole.READ: "path of a file",
    PathRole.DIRECTORY: "path of a directory",
    PathRole.OWN: "path of a file",
    PathRole.WRITTEN: "path",
    PathRole.LIBRARY: "path of a library",
    PathRole.CREDENTIAL: "name of a systemd credential",
}

_SPECIAL: Final[Mapping[tuple[type[Table], str], str]] = {
    (LogConfig, "sample"): "table: a number from 2 to 1_000_000 for each route",
    (Config, "workers"): '`"auto"`, or integer, 1 to 64',
    (FieldsConfig, "add"): "table of fields with a value each",
    (FieldsConfig, "set"): "table of fields with a value each",
    (HealthConfig, "statuses"): "list of two integers, 100 to 599",
    (ListenerConfig, "groups"): "list of group names, or list of such lists",
    (ListenerConfig, "http"): 'list of `"h2"` and `"http/1.1"`',
    (Config, "error_pages"): "table: a status, and the path of a file or a list of two",
    (RouteConfig, "error_pages"): "table: a status, and the path of a file or a list of two",
    (RouteConfig, "auth"): "table",
    (RouteConfig, "basic_auth"): "table",
    (RouteConfig, "admin_page"): "table",
    (RouteConfig, "redirect"): "table",
    (RouteConfig, "respond"): "table",
    (RedirectConfig, "status"): "301, 302, 303, 307 or 308",
    (RespondConfig, "headers"): "table of names with a text each",
    (RespondConfig, "status"): "integer, 200 to 599, without 206 and 426",
    (RouteConfig, "headers"): 'table of names with a text each; `"*"` for any',
    (RouteConfig, "pq"): '`"require"`',
    (RouteConfig, "query"): 'table of names with a text each; `"*"` for any',
    (
        ServerConfig,
        "address",
    ): '`"http://host:port"`, `"https://host:port"`, `"tcp://host:port"`, `"tls://host:port"` or `"unix:/path"`',
    (ListenerConfig, "upstream_by_name"): "table of server names, with the name of an upstream for each",
    (ListenerConfig, "passthrough"): 'table of server names, with `"tcp://host:port"` or `"unix:/path"` for each',
    (ListenerConfig, "alpn"): "list: text",
}


def keys_of(model: type[Table]) -> list[str]:
    """The keys of a table that are not tables of their own in the document."""
    return [model.key_of(name) for name, one in model.model_fields.items() if not _is_table(one.annotation)]


def _fields(model: type[Table]) -> Mapping[str, FieldInfo]:
    """The fields of a table by their keys."""
    return {model.key_of(name): one for name, one in model.model_fields.items()}


def _is_table(kind: Any) -> bool:
    parts = [part for part in parts_of(kind) if isinstance(part, type)]
    return any(issubclass(part, Table) and part not in INLINE for part in parts)


def parts_of(kind: Any) -> Iterator[Any]:
    """All types in a type."""
    yield kind
    for argument in get_args(kind):
        yield from parts_of(argument)


def kind_of(model: type[Table], name: str) -> str:
    """The type of a key, what it may be, and its unit."""
    if (model, name) in _SPECIAL:
        return _SPECIAL[model, name]
    one = _fields(model)[name]
    text = _kind(one)
    unit = next((unit for end, unit in _UNITS.items() if re.search(rf"(^|_){end}$", name)), "")
    return f"{text} {unit}" if unit and text[0] in "in" else text


def _kind(one: FieldInfo) -> str:
    parts = list(parts_of(one.annotation))
    metadata = [*one.metadata, *(part for kind in parts if get_origin(kind) is Annotated for part in kind.__metadata__)]
    types = [part for part in parts if isinstance(part, type)]
    unit = unit_of(one)
    if unit is not None:
        least: Any = next(bound.ge for bound in metadata if isinstance(bound, Ge))
        most: Any = next(bound.le for bound in metadata if isinstance(bound, Le))
        return f'time, `"{written(least * unit)}"` to `"{written(most * unit)}"`'
    is_list = any(get_origin(part) is tuple for part in parts)
    text = _leaf(types, metadata, parts)
    return f"list: {text}" if is_list else text


def _leaf(types: list[type], metadata: list[Any], parts: list[Any]) -> str:
    for part in parts:
        if get_origin(part) is Literal:
            return f'`"{get_args(part)[0]}"`'
    for kind in types:
        if issubclass(kind, StrEnum):
            return ", ".join(f'`"{value}"`' for value in kind)
    if Pkcs11Uri in types:
        return _PLAIN[Pkcs11Uri]
    for role in metadata:
        if isinstance(role, PathRole):
            return _PATHS[role]
    known = next((text for kind, text in _PLAIN.items() if kind in types and kind is not str), "")
    return known or _number(types, metadata) or _PLAIN[str]


def _number(types: list[type], metadata: list[Any]) -> str:
    if int not in types and float not in types:
        return ""
    least = next(one.ge for one in metadata if isinstance(one, Ge))
    most = next(one.le for one in metadata if isinstance(one, Le))
    return f"{'number' if float in types else 'integer'}, {_written(least)} to {_written(most)}"


def default_of(model: type[Table], name: str) -> str:
    """The value if the key is missing."""
    if (model, name) == (Config, "workers"):
        return '`"auto"`'
    one = _fields(model)[name]
    default, unit = one.default, unit_of(one)
    if one.default_factory is dict:
        return "`{}`"
    if default is PydanticUndefined:
        return "required" if one.is_required() else "`{}`"
    if unit is not None and default is not None:
        default *= unit
    return "not set" if default is None else f"`{_written(default)}`"


def _written(value: object) -> str:
    """A value as it stands in a file."""
    match value:
        case bool():
            return str(value).lower()
        case float() if 0 < value < 0.001:
            return f"{value:.5f}"
        case int() | float():
            return f"{value:_}"
        case timedelta():
            return f'"{written(value)}"'
        case tuple():
            return f"[{', '.join(map(_written, value))}]"
        case dict():
            return "{}"
        case RateConfig():
            return (
                f"{{ {', '.join(f'{name} = {_written(getattr(value, name))}' for name in RateConfig.model_fields)} }}"
            )
        case _:
            return f'"{value}"'


# --- What a reload does ------------------------------------------------------------------------------------------

_LISTENER: Final = {"listener": {"a": {"bind": "127.0.0.1:1"}}}
_IDENTITY: Final = {"identity": {"a": {"names": ["a.example", "b.example"], "certificate": "c", "key": "k"}}}
_ROUTE: Final = {"route": [{"host": "a.example", "upstream": "u"}]}


def _with(document: Mapping[str, Any], **keys: object) -> dict[str, Any]:
    """A document of one table with one entry, and further keys in it."""
    ((table, entries),) = document.items()
    return {table: [entries[0] | keys]} if isinstance(entries, list) else {table: {"a": entries["a"] | keys}}


# Two configurations for each answer of a rule that looks at them.
_EXAMPLES: Final[Mapping[tuple[str, ...], list[tuple[dict[str, Any], dict[str, Any]]]]] = {
    ("workers",): [({"workers": 1}, {"workers": 2}), ({"workers": 2}, {"workers": 1})],
    ("listener", "*", "pq"): [
        (_with(_LISTENER), _with(_LISTENER, pq="report")),
        (_with(_LISTENER), _with(_LISTENER, pq="require")),
    ],
    ("listener", "*", "level"): [
        (_with(_LISTENER, level="high"), _with(_LISTENER)),
        (_with(_LISTENER), _with(_LISTENER, level="high")),
    ],
    ("listener", "*", "groups"): [
        (_with(_LISTENER, groups=["a"]), _with(_LISTENER, groups=["a", "b"])),
        (_with(_LISTENER, groups=["a", "b"]), _with(_LISTENER, groups=["a"])),
    ],
    ("listener", "*", "http"): [
        (_with(_LISTENER, http=["http/1.1"]), _with(_LISTENER, http=["h2", "http/1.1"])),
        (_with(_LISTENER, http=["h2", "http/1.1"]), _with(_LISTENER, http=["http/1.1"])),
    ],
    ("listener", "*", "http3"): [
        (_with(_LISTENER), _with(_LISTENER, http3=True)),
        (_with(_LISTENER, http3=True), _with(_LISTENER)),
    ],
    ("listener", "*", "alpn"): [
        (_with(_LISTENER, alpn=["irc"]), _with(_LISTENER, alpn=["irc", "other"])),
        (_with(_LISTENER, alpn=["irc", "other"]), _with(_LISTENER, alpn=["irc"])),
    ],
    ("listener", "*", "alpn_required"): [
        (_with(_LISTENER, alpn_required=True), _with(_LISTENER)),
        (_with(_LISTENER), _with(_LISTENER, alpn_required=True)),
    ],
    ("listener", "*", "upstream_by_name"): [
        (_with(_LISTENER), _with(_LISTENER, upstream_by_name={"a.example": "u"})),
        (_with(_LISTENER, upstream_by_name={"a.example": "u"}), _with(_LISTENER)),
    ],
    ("listener", "*", "passthrough"): [
        (_with(_LISTENER), _with(_LISTENER, passthrough={"a.example": "tcp://127.0.0.1:1"})),
        (_with(_LISTENER, passthrough={"a.example": "tcp://127.0.0.1:1"}), _with(_LISTENER)),
    ],
    ("identity", "*", "names"): [
        (_with(_IDENTITY, names=["a.example"]), _with(_IDENTITY)),
        (_with(_IDENTITY), _with(_IDENTITY, names=["a.example"])),
    ],
    ("route", "*", "pq"): [(_with(_ROUTE, pq="require"), _with(_ROUTE)), (_with(_ROUTE), _with(_ROUTE, pq="require"))],
    ("route", "*", "payload"): [
        (_with(_ROUTE), _with(_ROUTE, payload="accept")),
        (_with(_ROUTE), _with(_ROUTE, payload="require")),
    ],
}

_MEANING: Final = {
    EffectKind.LIVE: "reload",
    EffectKind.DRAINED: "reload, may end connections",
    EffectKind.RESTART: "**restart**",
}


def effects_of(place: tuple[str, ...]) -> list[Effect]:
    """The effects that a change of a key may have, each once."""
    if place in _EXAMPLES:
        pairs = [(Config.model_validate(old), Config.model_validate(new)) for old, new in _EXAMPLES[place]]
        found = [Effect(change.kind, change.effect) for old, new in pairs for change in diff(old, new)]
        return list(dict.fromkeys(found))
    return [effect_of(Difference(place, 1, 2), Config(), Config())]


def change_of(place: tuple[str, ...]) -> str:
    """What a change of a key needs, in a cell of a table."""
    effects = effects_of(place)
    kind = _kind_of_change(effects)
    return (
        _MEANING[kind]
        if kind is EffectKind.DRAINED
        else f"{_MEANING[kind]}: {'; or '.join(one.text for one in effects)}"
    )


def ends_of(key: str, place: tuple[str, ...]) -> Iterator[str]:
    """What a reload does with another value of a key, where it may end connections."""
    effects = effects_of(place)
    if _kind_of_change(effects) is not EffectKind.DRAINED:
        return
    if len(effects) == 1:
        yield from [*_wrapped(f"A reload with another `{key}`: {effects[0].text}."), ""]
        return
    yield from [f"What a reload with another `{key}` does, depending on the old and the new value:", ""]
    for one in effects:
        yield from _wrapped(f"- {one.text}", "  ")
    yield ""


def entries_of(place: tuple[str, ...]) -> Iterator[str]:
    """What a reload does that adds or removes a table with a name."""
    added, removed = (effect_of(Difference(place, *pair), Config(), Config()) for pair in ((None, 1), (1, None)))
    if place[-1:] == ("*",) and added != removed:
        yield from [*_wrapped(f"- A reload that adds one: {added.text}.", "  ")]
        yield from [*_wrapped(f"- A reload that removes one: {removed.text}.", "  "), ""]


def _kind_of_change(effects: list[Effect]) -> EffectKind:
    return max((one.kind for one in effects), key=list(EffectKind).index)


# --- The document ------------------------------------------------------------------------------------------------


def reference(example: str) -> str:
    """All tables and keys in Markdown."""
    found = comments(example)
    return "\n".join(line for section in SECTIONS for line in _section_lines(section, found)).rstrip("\n")


def _section_lines(section: Section, found: Comments) -> Iterator[str]:
    yield from [f"## {section.title}", ""]
    for header in section.intros:
        if header and header in found.tables:
            yield from prose(found.tables[header].lines)
    yield from entries_of(section.place)
    if section.like:
        yield from [f"The keys have the meaning of those in [`{section.like}`](#{_anchor(section.like)}).", ""]
        yield from _table(section, keys_of(section.model))
        return
    for comment, keys in _groups(section, found):
        yield from [f"### {', '.join(f'{section.path}.{key}'.lstrip('.') for key in keys)}{_suffix(section)}", ""]
        yield from prose(comment.lines)
        yield from _table(section, keys)


def _suffix(section: Section) -> str:
    """What tells keys of two tables of one path apart."""
    return {AcmeIssuerConfig: " (acme)", InternalIssuerConfig: " (internal)"}.get(section.model, "")


def _groups(section: Section, found: Comments) -> list[tuple[Comment, list[str]]]:
    """The keys of a section by the comment about them, in the order of the schema."""
    groups: dict[Comment, list[str]] = {}
    for key in keys_of(section.model):
        comment = found.about(section.headers, key)
        groups.setdefault(Comment([]) if comment is None else comment, []).append(key)
    return list(groups.items())


def _table(section: Section, keys: list[str]) -> Iterator[str]:
    yield from ["| key | value | default | a change needs |", "|---|---|---|---|"]
    for key in keys:
        yield _row(section.model, key, key, (*section.place, key))
        for inline in INLINE:
            if inline in parts_of(_fields(section.model)[key].annotation):
                yield from (_row(inline, name, f"{key}.{name}", (*section.place, key)) for name in _fields(inline))
    yield ""
    for key in keys:
        yield from ends_of(key, (*section.place, key))


def _row(model: type[Table], name: str, shown: str, place: tuple[str, ...]) -> str:
    change = "reload: another value makes another entry" if name in model.identified_by else change_of(place)
    return f"| `{shown}` | {kind_of(model, name)} | {default_of(model, name)} | {change} |"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
