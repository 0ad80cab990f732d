"""Any value of a message, made by the types of its fields."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, get_args, get_origin, get_type_hints, is_typeddict

from hypothesis import strategies as st

_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=5), inside, max_size=2),
    max_leaves=4,
)
_OPAQUE: Final = st.dictionaries(st.text(max_size=5), _JSON, max_size=3)
_PLAIN: Final[Mapping[Any, st.SearchStrategy[Any]]] = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=10),
    bytes: st.binary(max_size=40),
    datetime: st.datetimes(timezones=st.just(UTC)),
    Any: _JSON,
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type that a message has."""
    if is_dataclass(kind):
        make: Callable[..., Any] = kind  # type: ignore[assignment]
        hints = get_type_hints(kind)
        return st.builds(make, **{one.name: any_of(hints[one.name]) for one in fields(kind)})
    if is_typeddict(kind):
        return _OPAQUE
    arguments = get_args(kind)
    match get_origin(kind):
        case types.UnionType:
            return st.none() | any_of(arguments[0])
        case origin if origin in (tuple, Sequence):
            return st.lists(any_of(arguments[0]), max_size=3).map(tuple)
        case origin if origin is Mapping:
            return st.dictionaries(st.text(max_size=5), any_of(arguments[1]), max_size=3)
        case _:
            return st.sampled_from(list(kind)) if kind not in _PLAIN and issubclass(kind, Enum) else _PLAIN[kind]


def unsaid(message: object) -> set[str]:
    """The names of the fields that `repr` does not show."""
    return {one.name for one in fields(message) if not one.repr}  # type: ignore[arg-type]
