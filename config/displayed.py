"""A configuration as it may be shown to people who must not see its secrets. Pure.

Secrets rest in files of their own, which a configuration only names. What is left out here is the
rest of what an operator may have written into it: comments, the path of a webhook, the queries of
other addresses, the arguments of a program, the values of header fields and of conditions, and the
bodies of answers.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from config.values.addresses import Refused
from config.values.problems import is_key_material
from config.values.webhook import parse_webhook

HIDDEN: Final = "(not shown)"
WEBHOOKS: Final = frozenset({"webhook"})
ADDRESSES: Final = frozenset({"path", "directory"})
"""Keys whose values may have a query, which is hidden."""
PROGRAMS: Final = frozenset({"command", "hook"})
VALUES: Final = frozenset({"headers", "query", "request_headers", "response_headers", "body"})
"""Keys whose values are hidden. Of a table, the names in it are shown."""


# The page asks every two seconds for the same one.
@lru_cache(maxsize=1)
def displayed(content: bytes) -> str:
    """The same configuration without its secrets, as TOML. `content` has been accepted before."""
    return "\n".join(_table((), tomllib.loads(content.decode("utf-8-sig")))).strip() + "\n"


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if not isinstance(value, dict) and not _is_list_of_tables(value):
            yield f"{_key(key)} = {_value(key, value)}"
    for key, value in table.items():
        below = (*path, key)
        name = ".".join(map(_key, below))
        if isinstance(value, dict):
            if not value or any(not isinstance(one, dict) for one in value.values()):
                yield from ("", f"[{name}]")
            yield from _table(below, value)
        elif _is_list_of_tables(value):
            for one in value:
                yield from (
                    "",
                    f"[[{name}]]",
                    *(f"{_key(inner)} = {_value(inner, told)}" for inner, told in one.items()),
                )


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _value(key: str, value: Any) -> str:
    """What stands behind `key =`."""
    if key in VALUES:
        value = _without_values(value)
    elif key in WEBHOOKS:
        value = _webhook(value)
    elif key in ADDRESSES and isinstance(value, str) and "?" in value:
        value = f"{value.partition('?')[0]}?{HIDDEN}"
    elif key in PROGRAMS and isinstance(value, list):
        value = [*value[:1], *(HIDDEN for _ in value[1:])]
    return _written(value)


def _without_values(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_values(one) for name, one in value.items()}
        case str():
            return HIDDEN
        case _:  # names of fields that are removed, numbers, switches
            return value


def _webhook(value: object) -> str:
    try:
        return str(parse_webhook(value))
    except Refused:
        return HIDDEN


def _written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return f"{{ {', '.join(f'{_key(name)} = {_value(name, one)}' for name, one in value.items())} }}"
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case str() if is_key_material(value):
            return json.dumps(HIDDEN)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)
