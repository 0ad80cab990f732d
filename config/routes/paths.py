"""What a `[[route]]` does with the path: `strip_prefix`, `add_prefix`, `rewrite`. Pure."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Self

from pydantic import AfterValidator, model_validator

from config.values.addresses import Refused
from config.values.kinds import Table

# As in `route.path`: characters that no reader of a path changes (RFC 3986 section 3.3).
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@-]+")
_PART: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})(\*?)\}")
_PREFIX_ALLOWED: Final = 'a path of whole segments such as "/api", without "/" at its end'
_FORM_ALLOWED: Final = (
    'a path such as "/u/{user}/{rest*}": whole segments, each a text or a named part, and {rest*} only as the last'
)


def _parse_prefix(value: str) -> str:
    if not value.startswith("/") or not all(map(_is_text, value[1:].split("/"))):
        raise Refused(_PREFIX_ALLOWED)
    return value


def _is_text(segment: str) -> bool:
    return _SEGMENT.fullmatch(segment) is not None and segment not in {".", ".."}


def segments_of(form: str) -> Iterator[tuple[str, bool]]:
    """Each segment of a form, and whether it is a part: then it is the name, with its `*`."""
    for segment in form[1:].split("/"):
        part = _PART.fullmatch(segment)
        yield (segment, False) if part is None else (part[1] + part[2], True)


def _parse_form(value: str) -> str:
    segments = list(segments_of(value))
    names = [name.rstrip("*") for name, is_part in segments if is_part]
    # an empty last segment is a slash at the end
    texts = [
        text for number, (text, is_part) in enumerate(segments) if not is_part and (text or number != len(segments) - 1)
    ]
    is_rest_last = not any(name.endswith("*") for name, _ in segments[:-1])
    if not value.startswith("/") or not all(map(_is_text, texts)) or not is_rest_last:
        raise Refused(_FORM_ALLOWED)
    if len(set(names)) != len(names):
        raise Refused("each named part once")
    return value


Prefix = Annotated[str, AfterValidator(_parse_prefix)]
Form = Annotated[str, AfterValidator(_parse_form)]


class RewriteConfig(Table):
    """`rewrite`: paths of the form `path` become paths of the form `to`."""

    path: Form
    to: Form

    @model_validator(mode="after")
    def _knows_its_parts(self) -> Self:
        known = {name for name, is_part in segments_of(self.path) if is_part}
        unknown = [name for name, is_part in segments_of(self.to) if is_part and name not in known]
        if unknown:
            raise Refused("in to: the named parts of path", found=f"{{{unknown[0]}}}", about=("to",))
        return self
