"""Debian packages of a root: what dpkg has installed there, and what a package needs to run."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("var/lib/dpkg/status")
"""The database of dpkg below a root."""


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package.

    `needs` has its dependencies; each is a group of names, of which one suffices.
    """

    name: str
    version: str
    architecture: str
    source: str
    provides: frozenset[str]
    needs: tuple[tuple[str, ...], ...]
    paragraph: str


def installed(status: str) -> dict[str, Package]:
    """The installed packages in the text of dpkg's status file, by name."""
    found = (_package(paragraph) for paragraph in re.split(r"\n{2,}", status.strip()))
    return {one.name: one for one in found if one is not None}


def _package(paragraph: str) -> Package | None:
    fields: dict[str, str] = dict(re.findall(r"^([\w-]+): *(.*(?:\n[ \t].*)*)$", paragraph, re.MULTILINE))
    if not fields.get("Status", "").endswith(" installed"):
        return None
    dependencies = [*_groups(fields.get("Pre-Depends", "")), *_groups(fields.get("Depends", ""))]
    return Package(
        fields["Package"],
        fields["Version"],
        fields["Architecture"],
        fields.get("Source", fields["Package"]).partition(" ")[0],
        frozenset(name for group in _groups(fields.get("Provides", "")) for name in group),
        tuple(dependencies),
        paragraph,
    )


def _groups(value: str) -> Iterator[tuple[str, ...]]:
    """`a (>= 1) | b, c:any` becomes (a, b), (c)."""
    for group in value.split(","):
        names = tuple(re.split(r"[\s:(]", one.strip())[0] for one in group.split("|"))
        if any(names):
            yield names


def needed(packages: Mapping[str, Package], roots: Iterable[str], cut: frozenset[str]) -> set[str]:
    """`roots` and what they depend on, without what lies behind the packages in `cut`.

    Raises KeyError for a root that is not installed.
    """
    providers: dict[str, str] = {}
    for package in packages.values():
        for virtual in package.provides:
            providers.setdefault(virtual, package.name)
    reached, left = set[str](), list(roots)
    while left:
        name = left.pop()
        if name in reached:
            continue
        package = packages[name]
        reached.add(name)
        for group in package.needs:
            if cut.isdisjoint(group):
                names = [one if one in packages else providers.get(one) for one in group]
                left += [one for one in names if one is not None][:1]
    return reached
