"""What is wrong with a configuration, as a value: where it stands, what was found, what is allowed.

Every layer that judges a configuration (this one, credentials, OpenSSL) answers with `Problem`s, so
that they can be collected, printed together and written as JSON.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, time
from enum import StrEnum
from typing import Any, TypedDict, cast

Location = tuple[str | int, ...]
"""The way to a value in a TOML document: table names and keys, and indexes of lists from 0."""

# Long enough for a path or a list of names, short enough for a line of a terminal.
_LONGEST_SHOWN = 100
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# PEM, or the base64 of a DER SEQUENCE ("M" is its first sextet): the content of a key where its
# path belongs.
_KEY_MATERIAL = re.compile(r"-----BEGIN|^\s*M[A-Za-z0-9+/=\s]{40,}$")
_PIN = re.compile(r"(pin-value=)[^&;\s\"]*", re.IGNORECASE)  # of a PKCS#11 URI (RFC 7512 2.4)
_USER_INFORMATION = re.compile(r"//[^/@\s]*@")


class ProblemRow(TypedDict):
    """A `Problem` as JSON."""

    file: str
    key: str
    found: str
    allowed: str
    severity: str
    line: int | None
    column: int | None


class Severity(StrEnum):
    """Whether a problem stops the start (ERROR) or is only said (WARNING)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration.

    `key` is the path of the value in the file, such as `identity.chat.key` or `route[2].path`,
    empty for the whole file. `found` says what stands there and never contains a secret; `allowed`
    what could, or how to fix it. `line` and `column` are where the key stands, or the table that
    lacks it, counted from 1; None for the whole file.
    """

    file: str
    key: str
    found: str
    allowed: str
    severity: Severity = Severity.ERROR
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"

    @property
    def is_error(self) -> bool:
        """Whether the configuration cannot be used because of this."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.place}: {self.key}" if self.key else self.place
        if self.is_error:
            return f"{place}: found {self.found}; allowed: {self.allowed}"
        return f"{place}: warning: found {self.found}; better: {self.allowed}"

    def as_json(self) -> ProblemRow:
        return cast("ProblemRow", asdict(self))

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Problem":
        """Read what `as_json` wrote. Raises `KeyError` or `ValueError` for anything else."""
        values = {field.name: facts[field.name] for field in fields(cls)}
        return cls(**{**values, "severity": Severity(facts["severity"])})


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` are all faults and warnings."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def toml_key(location: Location) -> str:
    """Write a location as TOML does, with indexes: `identity.chat.credential[0].key`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in location]
    return "".join(parts).removeprefix(".")


def shown(value: object) -> str:
    """Write a value of a TOML document for an operator: short, on one line, without what could be a
    secret.
    """
    match value:
        case str():
            return _shown_text(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"
        case float():
            return str(value)
        case date() | time():  # a datetime is a date
            return f"the date or time {value}"
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict():
            return f"a table with {', '.join(map(_key, value))}" if value else "an empty table"
        case _:
            return f"a {type(value).__name__}"


def listed(names: Iterable[str]) -> str:
    """Names that are allowed, for a message."""
    return ", ".join(f'"{name}"' for name in sorted(set(names))) or "there is none"


def printable(text: str) -> str:
    """Escape all that is not printable: neither a file nor a token must be able to move the cursor
    of the terminal it is shown on.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def is_key_material(text: str) -> bool:
    """Whether a text looks like the content of a key file, PEM or base64, and not like a path."""
    return _KEY_MATERIAL.search(text) is not None


def _shown_text(text: str) -> str:
    if is_key_material(text):
        return "the content of a key or certificate (not shown)"
    text = _PIN.sub(r"\1***", _USER_INFORMATION.sub("//***@", text))
    if len(text) > _LONGEST_SHOWN:
        return f"{_quoted(text[: _LONGEST_SHOWN // 2])}... ({len(text)} characters)"
    return _quoted(text)


def _key(name: str) -> str:
    if _BARE_KEY.fullmatch(name):
        return name
    return _quoted(name if len(name) <= _LONGEST_SHOWN else f"{name[: _LONGEST_SHOWN // 2]}...")


def _quoted(text: str) -> str:
    return printable(json.dumps(text, ensure_ascii=False))
