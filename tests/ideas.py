"""Measures whether a file is one idea: how much its classes carry, what one statement assigns, what was cut off.

`tests/test_ideas.py` holds the figures.
"""

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from tests import syntax
from tests.house import Graph

FEW_METHODS = 4


class Burden(NamedTuple):
    """What a class carries."""

    methods: int
    """The public ones, with properties."""
    attributes: int
    """What it keeps on itself. The fields of a value do not count: they are what it says, and never change."""


def burdens(modules: Mapping[str, ast.Module]) -> dict[str, Burden]:
    """What each class carries, by its name."""
    return {
        node.name: Burden(len(_methods(node)), 0 if _is_value(node) else len(_attributes(node)))
        for tree in modules.values()
        for node in syntax.nodes(tree)
        if isinstance(node, ast.ClassDef)
    }


def _methods(node: ast.ClassDef) -> set[str]:
    return {one.name for one in _functions(node) if not one.name.startswith("_")}


def _attributes(node: ast.ClassDef) -> set[str]:
    fields = {one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)}
    return fields | _stored(node)


def strays(modules: Mapping[str, ast.Module]) -> Iterator[str]:
    """Attributes that only a method gives a class: a reader looks for them in `__init__`, what that calls, or the body.

    A name that is written wrong would be one. Of a base class that is not ours the attributes are not known.
    """
    classes = {
        node.name: node for tree in modules.values() for node in syntax.nodes(tree) if isinstance(node, ast.ClassDef)
    }
    for node in classes.values():
        known = _declared(node, classes)
        for method in _functions(node) if known is not None else ():
            yield from (f"{node.name}.{name}" for name in sorted(_stored(method) - (known or set())))


def _declared(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> set[str] | None:
    """What a class and its bases declare; None if one of them is not ours."""
    methods = {one.name: one for one in _functions(node)}
    made = ast.unparse(methods["__init__"]) if "__init__" in methods else ""
    declared = {
        name for name, one in methods.items() if name == "__init__" or f"self.{name}(" in made for name in _stored(one)
    }
    declared |= {
        ast.unparse(target)
        for one in node.body
        if isinstance(one, ast.Assign | ast.AnnAssign)
        for target in (one.targets if isinstance(one, ast.Assign) else [one.target])
    }
    for base in (ast.unparse(one).partition("[")[0] for one in node.bases):
        if base in classes:
            inherited = _declared(classes[base], classes)
            if inherited is None:
                return None
            declared |= inherited
        elif base not in {"Protocol", "ABC", "Generic"}:
            return None
    return declared


def _functions(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def _stored(node: ast.AST) -> set[str]:
    return {
        one.attr
        for one in syntax.nodes(node)
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and ast.unparse(one.value) == "self"
    }


def _is_value(node: ast.ClassDef) -> bool:
    """Whether a class is a frozen dataclass, a table of the configuration or of a message, with few methods."""
    kinds = [ast.unparse(one) for one in (*node.decorator_list, *node.bases)]
    is_frozen = any("frozen=True" in one or one in {"Table", "TypedDict", "NamedTuple"} for one in kinds)
    return is_frozen and len(_methods(node)) <= FEW_METHODS


def bundles(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Statements that assign several things at once, of which none is swapped or unpacked."""
    for node in syntax.nodes(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(values):
                written = {ast.unparse(one) for one in names}
                read = {ast.unparse(one) for value in values for one in ast.walk(value) if isinstance(one, ast.expr)}
                if written.isdisjoint(read) and not any(isinstance(one, ast.Starred) for one in (*names, *values)):
                    yield node.lineno, ast.unparse(node)
            case _:
                pass


def satellites(graph: Graph, lines: Mapping[str, int], shortest: int, pure: Collection[str]) -> dict[str, str]:
    """Short files that one other file imports, and which.

    A pure one may be short: its tests take every branch. So may one whose importer is in another package, such as a
    command: that is a border.
    """
    importers: dict[str, set[str]] = defaultdict(set)
    for module, imported in graph.items():
        for one in imported:
            importers[one].add(module)
    return {
        module: next(iter(importers[module]))
        for module, count in lines.items()
        if count < shortest and module not in pure and _is_alone(module, importers[module])
    }


def _is_alone(module: str, importers: set[str]) -> bool:
    return len(importers) == 1 and next(iter(importers)).partition(".")[0] == module.partition(".")[0]
