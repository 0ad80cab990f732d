"""What a reload would change: every difference of two configurations, and what follows. Pure.

It reads the tables of the schema as they are, so a new key there is compared without a change here.
What follows for established connections stands in `effects`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from pydantic.fields import FieldInfo

from config.effects import Difference, Effect, EffectKind, effect_of
from config.schema import Config
from config.values.durations import unit_of, written
from config.values.kinds import Table
from config.values.problems import Location, shown, toml_key

__all__ = ["Change", "EffectKind", "diff"]

# What needs no quotes to be read: names, addresses, networks, paths, numbers.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.*:/@\[\]-]+")
# The parts of a key as `toml_key` writes it; a name with dots is quoted there.
_KEY_PARTS: Final = re.compile(r'"[^"]*"|[^.\[\]]+')
# Of a longer list the first entries are told and the others counted.
_SHOWN_ENTRIES: Final = 5
# Lists whose order is a preference: a difference is told as the whole list.
_ORDERED: Final = frozenset({"groups", "providers", "key", "alpn"})


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs.

    `key` is the path of the value, such as `listener.public.pq` or `route chat.example.org/api
    body_bytes`. `old` and `new` are for an operator to read, None where there was or will be
    nothing; of a list they tell only the entries that differ, as `- gone` and `+ new`. `effect`
    says in a clause what happens to what is established.
    """

    key: str
    kind: EffectKind
    old: str | None
    new: str | None
    effect: str

    @property
    def summary(self) -> str:
        """Old and new in one phrase: `prefer -> require`, `added (upstream = chat)`, `+ a, - b`."""
        if any((text or "").startswith(("+ ", "- ")) for text in (self.old, self.new)):
            return ", ".join(text for text in (self.new, self.old) if text is not None)
        if self.old is None:
            return f"added ({self.new})"
        if self.new is None:
            return f"removed ({self.old})"
        return f"{self.old} -> {self.new}"

    def __str__(self) -> str:
        return f"{self.key}: {self.summary}"

    def as_json(self) -> dict[str, str | None]:
        """Answer the five facts under the names of the fields."""
        return {"key": self.key, "kind": self.kind.value, "old": self.old, "new": self.new, "effect": self.effect}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Change":
        """Take what `as_json` answered. Raises `KeyError` or `ValueError` for anything else."""
        return cls(facts["key"], EffectKind(facts["kind"]), facts["old"], facts["new"], facts["effect"])


def diff(old: Config, new: Config, changed_files: Mapping[str, str] | None = None) -> tuple[Change, ...]:
    """Answer every difference once, in the order of the schema. The order of routes is none.

    `changed_files` reports files whose content changed while the configuration names them as
    before: the key that names the file -> what is new about it.
    """
    changes = [
        _change(place, difference, effect_of(difference, old, new))
        for place, difference in _in_table(_Place(), old, new)
    ]
    for key, what in (changed_files or {}).items():
        if not any(change.key == key or key.startswith((f"{change.key}.", f"{change.key}[")) for change in changes):
            effect = effect_of(Difference(tuple(_KEY_PARTS.findall(key)), None, None), old, new)
            changes.append(Change(key, EffectKind.LIVE, "content as loaded", what, effect.text))
    return tuple(changes)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands: `location` for rules, and how it is called: a `heading` such as `route
    HOST/PATH`, and the `rest`.
    """

    location: Location = ()
    heading: str = ""
    rest: Location = ()

    def below(self, name: str) -> "_Place":
        return replace(self, location=(*self.location, name), rest=(*self.rest, name))

    def entry(self, identity: str) -> "_Place":
        return _Place((*self.location, identity), f"{self.key} {identity}")

    @property
    def key(self) -> str:
        return " ".join(part for part in (self.heading, toml_key(self.rest)) if part)


_Found = Iterator[tuple[_Place, Difference]]


def _in_table(place: _Place, old: Table, new: Table) -> _Found:
    for name, field in type(new).model_fields.items():
        before = getattr(old, name)
        after = getattr(new, name)
        if before != after:  # most of a reload is as it was
            key = type(new).key_of(name)
            yield from _in_value(place.below(key), _value(field, before), _value(field, after))


def _value(field: FieldInfo, value: object) -> object:
    """The value of a field, in which a time is not a number but a time."""
    unit = unit_of(field)
    return unit * value if unit is not None and isinstance(value, int | float) else value


def _in_value(place: _Place, old: object, new: object) -> _Found:
    """The differences within two values that differ."""
    match old, new:
        case Table(), Table() if type(old) is type(new):
            yield from _in_table(place, old, new)
        case dict(), dict():
            yield from _in_entries({place.below(name): (old.get(name), new.get(name)) for name in {**old, **new}})
        case tuple(), tuple() if _identities(old + new):
            before = _by_identity(old)
            after = _by_identity(new)
            yield from _in_entries({place.entry(one): (before.get(one), after.get(one)) for one in {**before, **after}})
        case _:
            yield place, Difference(place.location, old, new)


def _in_entries(entries: Mapping[_Place, tuple[object, object]]) -> _Found:
    for place, (old, new) in entries.items():
        if old != new:
            yield from _in_value(place, old, new)


def _identities(entries: Sequence[object]) -> bool:
    """Whether all entries of a list can be told apart by an identity; not so in an empty list."""
    return bool(entries) and all(isinstance(entry, Table) and entry.identified_by for entry in entries)


def _by_identity(entries: Sequence[Table]) -> dict[str, Table]:
    return {_identity(entry): entry for entry in entries}


def _identity(table: Table) -> str:
    return table.entry_name or "".join(_text(getattr(table, key)) for key in table.identified_by)


def _change(place: _Place, difference: Difference, effect: Effect) -> Change:
    old = difference.old
    new = difference.new
    if isinstance(old, tuple) and isinstance(new, tuple) and place.location[-1] not in _ORDERED:
        before = [_text(one) for one in old]
        after = [_text(one) for one in new]
        gone = [text for text in before if text not in after]
        come = [text for text in after if text not in before]
        if gone or come:
            return Change(place.key, effect.kind, _entries("-", gone), _entries("+", come), effect.text)
    return Change(place.key, effect.kind, _told(old), _told(new), effect.text)


def _told(value: object) -> str | None:
    """A whole value, beside the key that has its identity already."""
    if isinstance(value, Table):
        return _described(value) or "with its defaults"
    return None if value is None else _text(value)


def _entries(sign: str, texts: Sequence[str]) -> str | None:
    told = [f"{sign} {text}" for text in texts[:_SHOWN_ENTRIES]]
    if len(texts) > _SHOWN_ENTRIES:
        told.append(f"{sign} {len(texts) - _SHOWN_ENTRIES} more")
    return ", ".join(told) or None


def _text(value: object) -> str:
    match value:
        case Table() if value.identified_by:
            described = _described(value)
            return f"{_identity(value)} ({described})" if described else _identity(value)
        case Table():
            return f"{{{_described(value)}}}"
        case dict():
            return f"{{{', '.join(f'{name} = {_text(one)}' for name, one in value.items())}}}"
        case tuple() if any(isinstance(entry, tuple) for entry in value):
            return " / ".join(map(_text, value))
        case tuple():
            told = [_text(entry) for entry in value[:_SHOWN_ENTRIES]]
            further = [f"{len(value) - _SHOWN_ENTRIES} more"] if len(value) > _SHOWN_ENTRIES else []
            return ", ".join(told + further) or "nothing"
        case bool() | int() | float():
            return shown(value)
        case timedelta():
            return written(value)
        case _:
            quoted = shown(str(value))
            return quoted[1:-1] if _PLAIN.fullmatch(quoted[1:-1]) and quoted[0] == '"' else quoted


def _described(table: Table) -> str:
    """What a table says beyond its identity and its defaults."""
    told = (
        f"{type(table).key_of(name)} = {_text(_value(field, value))}"
        for name, field in type(table).model_fields.items()
        if name not in table.identified_by
        and (value := getattr(table, name)) != field.get_default(call_default_factory=True)
    )
    return ", ".join(told)
