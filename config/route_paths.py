"""What a `[[route]]` does with the path: `strip_prefix`, `add_prefix`, `rewrite`. Pure."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Protocol, Self

from pydantic import AfterValidator, model_validator

from config.addresses import Refused
from config.values import Table

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


class Rewriting(Protocol):
    """A route."""

    @property
    def path(self) -> str:
        """The prefix of the paths that it takes."""

    @property
    def upstream(self) -> str | None:
        """The upstream that answers; None if the proxy itself does."""

    @property
    def strip_prefix(self) -> str | None:
        """What is taken away."""

    @property
    def add_prefix(self) -> str | None:
        """What is put in front."""

    @property
    def rewrite(self) -> RewriteConfig | None:
        """The form of paths, and what becomes of them."""


def check_paths(route: Rewriting) -> None:
    """Refuse changes that contradict the path of the route, or each other. Raises `Refused`."""
    used = [key for key in ("strip_prefix", "add_prefix", "rewrite") if getattr(route, key) is not None]
    if used and route.upstream is None:
        raise Refused("no such key: the proxy itself answers", found=used[0], about=(used[0],))
    if route.rewrite is not None:
        if len(used) > 1:
            raise Refused("rewrite alone", found=f"rewrite and {used[0]}", about=("rewrite", used[0]))
        if not _is_below(_start(route.rewrite.path), route.path):
            found = f'rewrite.path = "{route.rewrite.path}"'
            raise Refused(
                f'a form that begins with the path of the route, "{route.path}"', found=found, about=("rewrite", "path")
            )
    if route.strip_prefix is not None and not _is_below(route.path, route.strip_prefix):
        found = f'strip_prefix = "{route.strip_prefix}"'
        raise Refused(
            f'the path of the route, "{route.path}", or its beginning', found=found, about=("strip_prefix", "path")
        )


def _start(form: str) -> str:
    """The segments of a form before its first named part."""
    return form.partition("/{")[0] + "/" if "{" in form else form


def _is_below(path: str, prefix: str) -> bool:
    return f"{path}/".startswith(prefix if prefix.endswith("/") else f"{prefix}/")
