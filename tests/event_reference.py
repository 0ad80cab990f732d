"""The reference of the log events in `docs/events.md`, made from the catalogue
`proxy/observe/events`.

What an event says of itself stands in its class: the docstring tells when it is written and, in a
second paragraph, what the operator does about it; the string under a field tells what the field
means.
"""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator

from proxy.observe.events.event import Event, Level
from tests.example_events import SUBJECTS, classes, examples_of

_WIDTH = 100


def reference() -> str:
    """The names by level, then a heading for each subject and each event."""
    parts = ["## Events by level", *_by_level()]
    for title, module in SUBJECTS.items():
        parts.append(f"## {title}")
        sentences = {type(example.event): example.sentence for example in examples_of(module)}
        for one in classes(module):
            parts += _section(one, sentences[one])
    return "\n\n".join(parts)


def paragraphs(one: type[Event]) -> list[str]:
    """When an event is written, and what the operator does about it."""
    return [" ".join(part.split()) for part in inspect.cleandoc(one.__doc__ or "").split("\n\n")]


def meanings(one: type[Event]) -> dict[str, str]:
    """What each field of an event means."""
    (found,) = (
        node
        for node in ast.parse(inspect.getsource(inspect.getmodule(one) or one)).body
        if isinstance(node, ast.ClassDef) and node.name == one.__name__
    )
    return dict(_documented(found.body))


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            yield ast.unparse(field.target), " ".join(ast.literal_eval(text.value).split())


def _by_level() -> Iterator[str]:
    events = [one for module in SUBJECTS.values() for one in classes(module)]
    for level in reversed(Level):
        links = ", ".join(f"[`{one.event}`](#{one.event})" for one in events if one.level is level)
        yield _wrapped(f"**{level}**: {links}.")


def _section(one: type[Event], sentence: str) -> Iterator[str]:
    yield f"### {one.event}"
    when, *remedy = paragraphs(one)
    yield _wrapped(f"**{one.level}.** {when}")
    yield from (_wrapped(f"**What to do:** {text}") for text in remedy)
    fields = meanings(one)
    if fields:
        yield "\n".join(
            ["| field | meaning |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in fields.items())]
        )
    yield f"```text\n{sentence}\n```"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
