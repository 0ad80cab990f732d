"""Documents and their types: a part of a document for code that reads no more, and whether an
answer is as its type says."""

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict


def part(document: object) -> Any:
    """The part of a document."""
    return document


def differences(answer: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Where an answer is not as a type of JSON says: a key that is missing, surplus or in another
    order, or a value of another type."""
    arguments = get_args(kind)
    described = get_origin(kind) or kind
    if is_typeddict(described):
        yield from _table_differences(answer, described, arguments, place)
    elif described in (types.UnionType, Union):
        found = [list(differences(answer, one, place)) for one in arguments]
        yield from min(found, key=len)
    elif not _is_a(answer, described):
        yield f"{place} is {answer!r}, and the type says {described.__name__}"
    else:
        for inner, value, its_kind in _inside(answer, described, arguments):
            yield from differences(value, its_kind, place + inner)


def _is_a(answer: object, kind: Any) -> bool:
    if kind in (Any, object):
        return True
    if isinstance(answer, bool):
        return kind is bool
    if kind is float:
        return isinstance(answer, int | float)
    return isinstance(answer, list | tuple) if kind in (list, tuple) else isinstance(answer, kind)


def _inside(answer: Any, kind: Any, arguments: tuple[Any, ...]) -> Iterator[tuple[str, object, Any]]:
    if kind is dict:
        yield from ((f".{key}", value, arguments[1]) for key, value in answer.items())
    elif kind in (list, tuple):
        kinds = arguments * len(answer) if kind is list else arguments
        yield from ((f"[{index}]", *pair) for index, pair in enumerate(zip(answer, kinds, strict=True)))


def _table_differences(answer: Any, kind: Any, arguments: tuple[Any, ...], place: str) -> Iterator[str]:
    if not isinstance(answer, dict):
        yield f"{place} is {answer!r}, and the type says {kind.__name__}"
        return
    hints = get_type_hints(kind)
    if kind.__required_keys__ - answer.keys():
        yield f"{place} has no {sorted(kind.__required_keys__ - answer.keys())}"
    if list(answer) != [key for key in hints if key in answer]:
        yield f"{place} has {list(answer)}, and {kind.__name__} has {list(hints)}"
    for key, value in answer.items():
        if key in hints:
            its_kind = hints[key]
            if arguments:  # the one parameter of a generic table
                its_kind = its_kind[arguments[0]] if get_args(its_kind) else its_kind
            yield from differences(value, its_kind, f"{place}.{key}")
