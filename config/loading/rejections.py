"""pydantic's errors in the words of the configuration file.

`Rejection` is one error with its place in the file; it knows the `Problem` to report and what must
be left out of the document so that the rest can be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from config.schema import Config
from config.values.addresses import Refused
from config.values.durations import unit_of, written
from config.values.kinds import TAG_PREFIX, Table
from config.values.omissions import Omissions
from config.values.problems import Location, Problem, shown, toml_key

_MISSING = "missing"
_UNKNOWN = "extra_forbidden"
_TOO_SHORT = "too_short"
_FEW = 30  # keys that can be listed beside a proposal, the top level among them; [limits] has far more

# By pydantic's type of error, where the shape alone says what is allowed.
_SHAPES = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "string_type": "text in quotes",
    _TOO_SHORT: "at least one entry",
    "tuple_type": "a list in brackets",
}


# As headers of a file name them.
_LISTS_OF_TABLES = frozenset({"route", "credential"})
_NAMED_TABLES = frozenset({"listener", "identity", "upstream", "issuer", "token", "ring"})

# Keys that report which kind their table is, below the name or the index of it.
_TELL_KINDS = {"credential": "issuer", "issuer": "type"}

# Of a table that is one of two kinds, told by a key that only the other one has.
_INSTEAD: Mapping[str | int, str] = {"certificate": ', or an "issuer" that signs one'}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A value that the schema refuses: its `location` in the file, pydantic's kind of error, what
    it was, what could be.

    `about` are the locations that the verdict rests on.
    """

    location: Location
    kind: str
    found: str
    allowed: str
    about: tuple[Location, ...]

    @property
    def is_unknown_key(self) -> bool:
        """Whether the key means nothing, so that it can be left out without a gap."""
        return self.kind == _UNKNOWN

    @property
    def omitted(self) -> Location:
        """What cannot stay: the value, or its table where one is missing or tells its kind."""
        return self.location[:-1] if self.kind == _MISSING or self.tells_kind else self.location

    @property
    def tells_kind(self) -> bool:
        """Whether it says of which kind its table is."""
        *_, table, _, key = ("", "", *self.location)
        return _TELL_KINDS.get(str(table)) == key

    def follows_from(self, omissions: Omissions) -> bool:
        """Whether it may only be a gap, left by something that was refused already."""
        return any(omissions.touch(*location) for location in self.about)

    def problem(self, file: str) -> Problem:
        return Problem(file, toml_key(self.location), self.found, self.allowed)


def rejections(error: ValidationError, document: Mapping[str, object], omissions: Omissions) -> list[Rejection]:
    """Translate the errors of reading `omissions.without(document)`."""
    found = [
        _rejection(entry["type"], _place(omissions.in_file(_untagged(entry["loc"])), document, entry["type"]), entry)
        for entry in error.errors(include_url=False)
    ]
    unknown_kinds = {entry.location[:-1] for entry in found if entry.tells_kind}
    found = [entry for entry in found if entry.tells_kind or entry.location[:-1] not in unknown_kinds]
    # pydantic calls a list too short as well when its entries are refused.
    refused = Omissions(frozenset(entry.location for entry in found if entry.kind != _TOO_SHORT))
    return [entry for entry in found if entry.kind != _TOO_SHORT or not entry.follows_from(refused)]


def _rejection(kind: str, location: Location, entry: Mapping[str, Any]) -> Rejection:
    found = shown(entry["input"])
    allowed = _brackets(location, entry["input"], kind) or _SHAPES.get(kind)
    about: tuple[Location, ...] = (location,)
    if kind == _MISSING:
        found = "nothing"
        allowed = f"this key is needed in [{toml_key(location[:-1])}]{_INSTEAD.get(location[-1], '')}"
    elif kind == _UNKNOWN:
        found, allowed = _unknown_key(location)
    elif kind in {"enum", "literal_error"}:
        allowed = f"one of {entry['ctx']['expected']}".replace("'", '"')
    elif isinstance(refused := entry.get("ctx", {}).get("error"), Refused):
        found, allowed = refused.found or found, refused.allowed
        about = tuple((*location, key) for key in refused.about) or about
    return Rejection(location, kind, found, allowed or _number(location) or entry["msg"], about)


def _brackets(location: Location, value: object, kind: str) -> str | None:
    """How the header of a table is written that has too few or too many brackets, or no name."""
    header = toml_key(tuple(part for part in location if not isinstance(part, int)))
    if kind == "tuple_type" and isinstance(value, dict) and location[-1] in _LISTS_OF_TABLES:
        return f"[[{header}]], with two brackets and without a name: each is an entry of a list"
    if kind not in {"dict_type", "model_type"}:
        return None
    if location[-1] in _NAMED_TABLES:
        return f"tables with a name of your choice, [{header}.NAME]"
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return f"a table, [{header}], with one bracket"
    if location[-2:-1] and location[-2] in _NAMED_TABLES:
        return f"a table with a name of your choice, [{toml_key((*location[:-1], 'NAME'))}]"
    return None


def _untagged(location: Location) -> Location:
    """A location without the tags that pydantic puts in for the kind of a table."""
    return tuple(part for part in location if not str(part).startswith(TAG_PREFIX))


def _place(location: Location, document: Mapping[str, object], kind: str) -> Location:
    """Cut a location where the document ends: pydantic goes deeper, into the key of a table or a
    list that we made.
    """
    place: Location = ()
    value: Any = document
    for part in location:
        has_part = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        if not has_part:
            return (*place, part) if kind == _MISSING else place
        value = value[part]
        place = (*place, part)
    return place


def _unknown_key(location: Location) -> tuple[str, str]:
    names = sorted(_fields(location[:-1]))
    if location[-1] in names:
        *_, table, _, _ = ("", *location)
        return "a key of another kind of this table", f'no such key, or another kind by "{_TELL_KINDS[str(table)]}"'
    known = f"one of {', '.join(names)}"
    closest = get_close_matches(str(location[-1]).lower().replace("-", "_"), names, n=1)
    if not closest:
        return "an unknown key", known
    allowed = known if len(names) <= _FEW else f'"{closest[0]}", or another key of [{toml_key(location[:-1])}]'
    return f'an unknown key (did you mean "{closest[0]}"?)', allowed


def _number(location: Location) -> str | None:
    """What a numeric field takes, from its bounds; None for another kind of field."""
    field = _fields(location[:-1]).get(str(location[-1]))
    least = _bound(field, "ge")
    most = _bound(field, "le")
    if field is None or least is None or most is None:
        return None
    unit = unit_of(field)
    if unit is not None:
        default = "" if field.default is None else f' (default "{written(field.default * unit)}")'
        return f'a time in quotes with its unit, from "{written(least * unit)}" to "{written(most * unit)}"{default}'
    kind = "a number" if isinstance(least, float) else "a whole number"
    default = "" if field.is_required() or field.default is None else f" (default {field.default:_})"
    return f"{kind} from {_digits(least)} to {_digits(most)}{default}"


def _digits(number: float) -> str:
    """A bound as one writes it in a file: never with an exponent."""
    if isinstance(number, int):
        return f"{number:_}"
    digits = f"{number:_.5f}".rstrip("0")
    return f"{digits}0" if digits.endswith(".") else digits


def _bound(field: FieldInfo | None, kind: str) -> float | None:
    bounds = (getattr(constraint, kind, None) for constraint in (field.metadata if field else ()))
    return next((bound for bound in bounds if bound is not None), None)


def _fields(location: Location) -> Mapping[str, FieldInfo]:
    """The fields of the schema's table at a location of the file, by their keys and of all of its
    kinds; none where there is no table of fields.
    """
    annotation: Any = Config
    for part in location:
        fields = _fields_of(annotation)
        if fields:
            annotation = fields[str(part)].annotation
        else:  # dict[Name, Table] and tuple[Table, ...]
            annotation = get_args(annotation)[0 if get_origin(annotation) is tuple else 1]
    return _fields_of(annotation)


def _fields_of(annotation: Any) -> Mapping[str, FieldInfo]:
    if get_origin(annotation) is Annotated:  # a table that may be written as text, or is one of several kinds
        return _fields_of(get_args(annotation)[0])
    if get_origin(annotation) in {UnionType, Union}:  # Table | None, or several kinds of one table
        fields: dict[str, FieldInfo] = {}
        for kind in get_args(annotation):
            fields.update(_fields_of(kind))
        return fields
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return {annotation.key_of(name): field for name, field in annotation.model_fields.items()}
    return {}
