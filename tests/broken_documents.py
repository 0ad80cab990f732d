"""`config/example.toml` with every key, on a disk where all of it works, and every way to break it in one place."""

import copy
import json
import os
import pwd
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from certs.sealing.key_file import create_key
from config.values.problems import Location
from proxy.auth.password_hash import new_hash
from tests.certificates import Authority
from tests.client_authorities import ClientAuthority
from tests.example_document import MODELS, all_keys, tables

Document = dict[str, Any]

NEVER_RIGHT: Final = date(2026, 11, 27)
A_DATE: Final = "a date instead"
# Of every type that TOML has: nothing, zero, and far beyond.
VALUES: Final[tuple[object, ...]] = (
    True,
    0,
    10**30,
    float("nan"),
    "",
    "nonsense",
    "x" * 5_000,
    "a\nb\x1b[2J",
    [],
    [[[[[[[[]]]]]]]],
    {"nonsense": {"nonsense": 1}},
)
_FILES: Final = frozenset(
    {
        *(
            "certificate",
            "key",
            "secret",
            "ca",
            "ca_file",
            "root_file",
            "eab_key_file",
            "checkpoint_key",
            "pin_file",
            "password_file",
        ),
        *("crl", "root_key", "file", "state", "directory", "socket", "module", "module_path"),
    }
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A document with one fault: `place` is where, `how` what was done there."""

    document: Document
    place: Location
    how: str
    written: str = ""
    """What stands there now, as far as it is text."""
    stood_there: str = ""
    is_number: bool = False
    """Whether a number took the place of another one."""
    is_leaf: bool = False
    """Whether there was a single value."""


class World:
    """A directory with every file that the example names."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = Authority(directory)
        issue = self._authority.issue
        for file, names, kind in (
            ("chat", ("chat.example.org", "*.chat.example.org"), "ecdsa-p256"),
            ("files-ecdsa", ("files.example.org",), "ecdsa-p256"),
            ("files-mldsa65", ("files.example.org",), "mldsa-65"),
            ("proxy-client", ("proxy",), "ecdsa-p256"),
            ("vault", ("vault.example.org",), "ecdsa-p256"),
        ):
            issue(file, names, kind=kind)
        issue("node", ("edge-1",), is_named=False)
        self.other = issue("other", ("other.example.org",))
        for name, content in {
            "sticky.key": "s" * 64,
            "letsencrypt.eab": "c2VjcmV0LXNlY3JldA",
            "plexi.pin": "1234",
            "etcd": "a password of etcd",
            "admins.users": f"ada:{new_hash(b'secret', bytes(16))}\n",
            "page.tokens": "0123456789abcdef" * 4,
        }.items():
            self._secret(name, content)
        for name, text in {
            "robots.txt": "User-agent: *\nDisallow: /\n",
            "down.html": "<!doctype html><title>{title}</title>",
            "error.html": "<!doctype html><title>{title}</title>",
            "error.json": '{"title": "{title}"}',
            "chat-down.html": "<!doctype html><title>{title}</title>",
        }.items():
            (directory / name).write_text(text)
        clients = ClientAuthority("Clients")
        (directory / "clients.pem").write_bytes(clients.pem)
        (directory / "clients.crl").write_bytes(clients.revocations())
        create_key(directory / "sealing.key")
        for name in ("state", "seal", "payload", "modules"):
            (directory / name).mkdir(mode=0o700)
        (directory / "empty").touch(mode=0o600)
        (directory / "garbage").write_bytes(bytes(range(256)) * 16)
        os.mkfifo(directory / "pipe", 0o600)
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(directory / "socket"))

    @property
    def wrong_files(self) -> tuple[str, ...]:
        """Paths that are no use to anybody."""
        names = ("", "garbage", "pipe", "socket", "missing/missing")
        return (*(str(self.directory / name) for name in names), "/dev/zero", str(self.other.key))

    def documents(self) -> dict[str, Document]:
        """The example twice: with keys in files, and with keys in a token whose module is not there."""
        return {"files": self._with_files(), "tokens": self._with_tokens()}

    def _secret(self, name: str, content: str) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(content)

    def _example(self) -> Document:
        keys = all_keys()
        account = pwd.getpwuid(os.geteuid()).pw_name
        keys |= {"user": account, "group": account, "workers": 1}
        keys["listener"]["public"] |= {
            "bind": ["127.0.0.1:0", "[::1]:0"],
            "trusted_peers": ["10.0.0.1"],
            "proxy_protocol_from": ["10.0.0.2"],
            "client_address_from": "forwarded",
            "exempt": ["10.0.0.0/8"],
        }
        port = keys["listener"]["public"].pop("http3_port")
        keys["listener"]["quic"] = {"bind": "127.0.0.1:0", "http3": True, "http3_port": port}
        keys["upstream"]["files"]["ca"] = self._authority.path.name
        del keys["upstream"]["rooms"]["hash_on"]
        keys["upstream"]["hashed"] = {
            "servers": ["http://10.0.0.3"],
            "balance": "consistent-hash",
            "hash_on": "address",
        }
        keys["route"].append({"host": "files.example.org", "path": "/hashed", "upstream": "hashed"})
        root = self._authority.path.name
        acme = keys["issuer"]["letsencrypt"]
        acme |= {"ca_file": root, "root_file": root, "contact": ["ops@example.org"], "fallback": ["other"]}
        acme |= {"challenge": "dns-01", "hook": ["/bin/true", "x"]}
        keys["issuer"]["other"] = {"type": "acme", "directory": "https://ca.example.org", "root_file": root}
        keys["issuer"]["internal"]["names"] = ["example.org"]
        keys["plain"]["bind"] = ["127.0.0.1:0"]
        keys["listener"]["irc"]["bind"] = "127.0.0.1:0"  # another test may have the port of the example
        keys["rotation"]["state"] = "state"
        keys["sealing"] = {"key": "sealing.key", "directory": "seal", "rotate_after": "90d"}
        keys["audit"] |= {"file": "audit.jsonl", "checkpoint_key": "chat.key"}
        keys["openssl"] |= {"module_path": "modules"}
        keys["payload"]["directory"] = "payload"
        keys["log"]["file"] = "log.jsonl"
        keys["ct"] |= {"log_list": "log_list.json", "watch": ["https://ct.example.org/"], "known_serials": ["a1b2"]}
        keys["backup"] |= {"directory": "backups", "recipients": ["safe.pub"]}
        files = {"certificate": "node.pem", "key": "node.key", "ca": self._authority.path.name, "password_file": "etcd"}
        keys["fleet"] = {
            "etcd": ["https://127.0.0.1:1"],
            "name": "edge-1",
            "user": "edge-1",
            "prefix": "/fleet",
            "auto_approve": True,
            **files,
        }
        page = str(self.directory / "page.sock")
        keys["admin"] = {"socket": "admin.sock", "page_socket": page, "metrics_bind": ["127.0.0.1:0"]}
        return keys

    def _with_files(self) -> Document:
        keys = self._example()
        del keys["hsm"], keys["identity"]["vault"]
        return keys

    def _with_tokens(self) -> Document:
        keys = self._example()
        keys["hsm"]["module"] = "missing.so"
        del keys["hsm"]["token"]["plexi"]["pin_credential"]
        keys["hsm"]["token"]["spare"] = {"label": "spare", "pin_credential": "spare-pin"}
        keys["sealing"]["key"] = "pkcs11:token=plexi;object=sealing"
        keys["alerts"]["command"] = ["/bin/true", "x"]
        keys["audit"]["checkpoint_key"] = "pkcs11:token=plexi;object=audit"
        # what is broken in the other document need not be broken here
        for name in (
            "upstream",
            "limits",
            "listener",
            "issuer",
            "plain",
            "openssl",
            "log",
            "admin",
            "payload",
            "rotation",
            "ct",
            "backup",
            "fleet",
        ):
            del keys[name]
        keys["listener"] = {"public": {"bind": "127.0.0.1:0"}}
        keys["identity"] = {"vault": keys["identity"]["vault"]}
        keys["upstream"] = {"chat": {"servers": ["http://127.0.0.1:1"]}}
        keys["route"] = [{"host": "vault.example.org", "upstream": "chat"}]
        return keys


def keys_of(document: Document) -> set[tuple[type[BaseModel], str]]:
    """Each field of the schema that a document has; tables of tables count as what is in them."""
    return {(model, name) for model in MODELS for table in tables(document, model) for name in table}


def _entries(value: object, place: Location) -> Iterator[tuple[Location, object]]:
    yield place, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, entry in parts:
        yield from _entries(entry, (*place, part))


def broken(document: Document, world: World, one_in: int = 1) -> Iterator[Broken]:
    """Break a document in every place: as a date, one in three under another name, one in three without it, and by one in N other
    ways.

    These are other ones at each place, so that together they are all. If not in all ways, then also not in all entries of a list: in
    the first one that has a key, and in one in four of the others.
    """
    seen: set[Location] = set()
    for number, (place, value) in enumerate(_entries(document, ())):
        alike = tuple(part for part in place if isinstance(part, str))
        is_left_out = one_in > 1 and alike in seen and number % 4 != 0
        seen.add(alike)
        if place and not is_left_out:
            for way, one in enumerate(_broken_at(document, place, value, world)):
                if way == 0 or (way < _FIRST and (number + way) % _FIRST == 0) or (number + way) % one_in == 0:
                    yield one


def _broken_at(document: Document, place: Location, value: object, world: World) -> Iterator[Broken]:
    stood_there = value if isinstance(value, str) else ""

    def put(new: object, how: str) -> Broken:
        changed = copied_along(document, place)
        _at(changed, place[:-1])[place[-1]] = new
        written = new if isinstance(new, str) else ""
        is_number = _is_number(value) and _is_number(new)
        return Broken(changed, place, how, written, stood_there, is_number, not isinstance(value, dict | list))

    yield put(NEVER_RIGHT, A_DATE)
    changed = copied_along(document, place)
    table = _at(changed, place[:-1])
    del table[place[-1]]
    yield Broken(changed, place, "missing", stood_there=stood_there)
    if isinstance(place[-1], str):
        changed = copied_along(document, place)
        table = _at(changed, place[:-1])
        table["renamed"] = table.pop(place[-1])
        yield Broken(changed, place, "under another name", "renamed", stood_there)
    for one in VALUES:
        yield put(one, f"{str(one)[:20]!r} instead")
    if isinstance(value, list) and value:
        yield put([*value, copy.deepcopy(value[0])], "its first entry twice")
    if _is_number(value):
        yield put(-float(str(value)) if isinstance(value, float) else -int(str(value)), "negative")
        yield put(str(value), "in quotes")
    if isinstance(value, str):
        yield put([value], "in a list")
        yield put(value.upper(), "in capitals")
        yield put(f" {value}", "behind a blank")
        for path in world.wrong_files if place[-1] in _FILES else ():
            yield put(path, f"the path {path}")


def with_dates(document: Document, faults: Iterable[Broken]) -> Document:
    """The document with a date at all of these places, none of which is inside of another one."""
    for one in faults:
        document = copied_along(document, one.place)
        _at(document, one.place[:-1])[one.place[-1]] = NEVER_RIGHT
    return document


_FIRST: Final = 3
"""The first ways: it is a date, which no key takes; it is missing; it has another name."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(document: Any, place: Location) -> Any:
    for part in place:
        document = document[part]
    return document


def copied_along(document: Any, place: Location) -> Any:
    """A copy as far as something at a place will change; the rest is shared."""
    if not place:
        return document
    part, *_ = place
    changed = copy.copy(document)
    changed[part] = copied_along(document[part], place[1:])
    return changed


def as_toml(document: Document) -> str:
    """Write a document with a header for each table, as people do."""
    return "".join([*_lines({n: v for n, v in document.items() if not _is_table(v)}, ""), *_tables(document)])


def _tables(document: Document) -> Iterator[str]:
    for name, value in document.items():
        if _is_table(value):
            text, of = _WRITTEN.get((name, id(value)), ("", None))
            if of is not value:
                text = "".join(_lines({name: value}, ""))
                if len(_WRITTEN) > _MOST_WRITTEN:
                    _WRITTEN.clear()
                _WRITTEN[name, id(value)] = text, value
            yield text


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


_MOST_WRITTEN: Final = 64
_WRITTEN: Final[dict[tuple[str, int], tuple[str, object]]] = {}
"""Text of tables that many documents share."""


def _lines(table: Document, path: str) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if isinstance(value, dict)}
    several = {
        name: value
        for name, value in table.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value) and name != "servers"
    }
    for name, value in table.items():
        if name not in inner and name not in several:
            yield f"{_key(name)} = {_value(value)}\n"
    for name, value in inner.items():
        yield f"\n[{path}{_key(name)}]\n"
        yield from _lines(value, f"{path}{_key(name)}.")
    for name, entries in several.items():
        for entry in entries:
            yield f"\n[[{path}{_key(name)}]]\n"
            yield from _lines(entry, f"{path}{_key(name)}.")


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)


def _value(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case float():
            return str(value)  # nan and inf are TOML, and no JSON
        case date():
            return value.isoformat()
        case _:
            return json.dumps(value, ensure_ascii=True)
