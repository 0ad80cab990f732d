"""Findings that say the same of many names or listeners become one. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from proxy.doctor.finding import Finding
from proxy.doctor.handshakes.judgement import Subject

_MOST: Final = 8
"""How many names, and listeners, are written out."""


def condensed(findings: Iterable[tuple[Subject, Finding]]) -> Iterator[Finding]:
    """One finding for each check, state and text; its subject names all that it is about."""
    subjects: dict[Finding, list[Subject]] = {}
    for subject, one in findings:
        subjects.setdefault(replace(one, subject=""), []).append(subject)
    for alike, of in subjects.items():
        yield replace(alike, subject=str(of[0]) if len(of) == 1 else _all_of(of))


def _all_of(subjects: Iterable[Subject]) -> str:
    names = dict[str, None]()
    listeners = dict[str, None]()
    for one in subjects:
        names[one.name] = listeners[one.listener] = None
    return f"{_listed(list(names))} on {_listed(list(listeners))}"


def _listed(words: list[str]) -> str:
    left = len(words) - _MOST
    return ", ".join(words) if left <= 0 else f"{', '.join(words[:_MOST])} and {left} more"
