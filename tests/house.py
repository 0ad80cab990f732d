"""Measures the house: rooms, floors, circles, names that mean two things, names without a caller.

`python -m tests.house` prints the figures; `tests/test_house.py` holds them.
"""

import ast
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import grimp

from tests import syntax

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("proxy", "certs", "config")
DOES_IO: Final = frozenset(
    {
        *("asyncio", "ctypes", "fcntl", "logging", "mmap", "os", "random", "requests", "resource", "select"),
        *("selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "uvloop"),
    }
)
"""Modules that a pure module never reaches, through whatever modules of ours."""
COMPUTES: Final = frozenset({("proxy.limits.networks", "socket")})
"""Imports that are allowed nevertheless: `inet_pton` only computes."""
# These are called by their names: by asyncio, aiohttp, httptools, typer, urllib and the like, or by programs of clients (`proxy.payload.client`).
CALLED_FROM_OUTSIDE: Final = frozenset(
    {
        "format_commands",
        "http_open",
        "https_open",
        "handle_error",
        "log_exception",
        "log_debug",
        "on_header",
        "on_headers_complete",
        "SessionOffer",
    }
)

# A package whose modules come before what calls them; its names need callers when its door is in use outside.
OPENING: Final = {"proxy.http2": "proxy.http2.session.server_session"}

Graph = Mapping[str, frozenset[str]]


@cache
def parsed() -> dict[str, ast.Module]:
    """Every module of the product by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): syntax.tree(path)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


@cache
def imports(*, with_annotations: bool = True) -> Graph:
    """What each module imports, also of others than ours; `with_annotations`: also what only a type checker imports."""
    graph = grimp.build_graph(
        *PACKAGES, include_external_packages=True, exclude_type_checking_imports=not with_annotations, cache_dir=None
    )
    # grimp takes a module in C for the package that it is in
    beside_c = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("proxy/**/*.pyi")}
    return {
        module: frozenset(
            graph.find_modules_directly_imported_by(module) - ({"proxy"} if room(module) in beside_c else set())
        )
        for module in graph.modules
    }


def room(module: str) -> str:
    """The folder of a module: `proxy.tls` of `proxy.tls.openssl.stream`."""
    return module.rpartition(".")[0] or module


def floor(module: str) -> str:
    """The room at the top: `proxy.supervisor` of `proxy.supervisor.tokens.safe`."""
    return ".".join(room(module).split(".")[:2])


def rooms(graph: Graph, of: str) -> Graph:
    """Which room at the top of a package imports which other one."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for module, imported in graph.items():
        if module.startswith(f"{of}.") and floor(module) != of:
            arrows[floor(module)] |= {floor(one) for one in imported if one.startswith(f"{of}.")} - {floor(module), of}
    return {name: frozenset(others) for name, others in arrows.items()}


def inside(graph: Graph, modules: Iterable[str]) -> dict[str, Graph]:
    """What stands in each room, however deep: files and rooms, and which of them imports which other one."""
    contents: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        parts = module.split(".")
        for depth in range(1, len(parts) if parts[-1] != "__init__" else 0):
            contents[".".join(parts[:depth])].add(".".join(parts[: depth + 1]))
    return {name: _arrows_inside(graph, name, frozenset(here)) for name, here in contents.items()}


def _arrows_inside(graph: Graph, name: str, here: frozenset[str]) -> Graph:
    depth = name.count(".") + 2
    arrows: dict[str, set[str]] = {one: set() for one in here}
    for module, imported in graph.items():
        own = _shortened(module, depth)
        if own in here:
            arrows[own] |= ({_shortened(one, depth) for one in imported} & here) - {own}
    return {one: frozenset(others) for one, others in arrows.items()}


def _shortened(module: str, depth: int) -> str:
    return ".".join(module.split(".")[:depth])


def files(contents: Graph, all_rooms: Container[str]) -> int:
    """How many files stand in a room beside its rooms, without `__init__.py`."""
    return sum(one not in all_rooms for one in contents)


def circle(arrows: Graph) -> list[str]:
    """One circle of rooms, empty where there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def height(arrows: Graph) -> int:
    """How many floors the rooms stand on."""
    floors: dict[str, int] = {}
    for name in TopologicalSorter(arrows).static_order():
        floors[name] = 1 + max((floors[one] for one in arrows.get(name, ())), default=0)
    return max(floors.values())


def loose(package: str) -> list[str]:
    """Files in the root of a package, which belong into a room."""
    return sorted(path.name for path in (ROOT / package).glob("*.py") if path.name != "__init__.py")


def twins(modules: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Names of classes that mean several things, and where."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules.items():
        for node in syntax.nodes(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{module}:{node.lineno}")
    return {name: found for name, found in places.items() if len(found) > 1}


def disguises(tests: Mapping[str, ast.Module], modules: Mapping[str, ast.Module]) -> list[str]:
    """What lets a stand-in of a test pass for a class of the product: `cast`, and inheritance from a concrete class.

    A test may subclass what the product itself means to be subclassed: protocols, exceptions, tables of the configuration,
    and classes that are compiled and say so.
    """
    bases = {
        node.name: {_last_name(base) for base in node.bases} | ({"Protocol"} if _is_open(node) else set())
        for tree in modules.values()
        for node in syntax.nodes(tree)
        if isinstance(node, ast.ClassDef)
    }
    return [f"{name}:{line} {found}" for name, tree in tests.items() for line, found in sorted(_disguises(tree, bases))]


def _disguises(tree: ast.Module, bases: Mapping[str, set[str]]) -> Iterator[tuple[int, str]]:
    known = _from_product(tree)
    for node in syntax.nodes(tree):
        match node:
            case ast.ImportFrom(module="typing" | "typing_extensions", names=names):
                yield from ((node.lineno, "cast") for one in names if one.name == "cast")
            case ast.Attribute(value=ast.Name(id="typing"), attr="cast"):
                yield node.lineno, "cast"
            case ast.ClassDef():
                for base in node.bases:
                    first, last = re.split(r"\W", ast.unparse(base))[0], _last_name(base)
                    name = known.get(last, last)
                    if first in known and name in bases and _is_concrete(name, bases):
                        yield node.lineno, f"{node.name}({name})"
            case _:
                pass


def _is_open(node: ast.ClassDef) -> bool:
    """Whether a compiled class stands where a protocol would, and lets interpreted ones inherit from it."""
    return any("allow_interpreted_subclasses=True" in ast.unparse(one) for one in node.decorator_list)


def _from_product(tree: ast.Module) -> dict[str, str]:
    """The names that a module imports from the product, and what they are called there."""
    return {
        one.asname or one.name: one.name
        for node in syntax.nodes(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES
        for one in node.names
    }


def _last_name(base: ast.expr) -> str:
    return ast.unparse(base).partition("[")[0].rpartition(".")[2]


def _is_concrete(name: str, bases: Mapping[str, set[str]]) -> bool:
    if "Protocol" in bases.get(name, ()):
        return False
    ancestors, left = {name}, [name]
    while left:
        found = bases.get(left.pop(), set()) - ancestors
        ancestors |= found
        left += found
    return not any(one == "BaseModel" or one.endswith(("Exception", "Error")) for one in ancestors)


def _reads(tree: ast.Module) -> Iterator[str]:
    """Every name that a module reads, also in annotations that are strings."""
    for node in syntax.nodes(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                yield name
            case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.\[\], |]+", text):
                yield from re.findall(r"\w+", text)


def _definitions(body: list[ast.stmt], *, in_class: bool) -> Iterator[tuple[str, int]]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if not node.decorator_list or _is_plain(node.decorator_list):
                    yield node.name, node.lineno
                if isinstance(node, ast.ClassDef):
                    yield from _definitions(node.body, in_class=True)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if not in_class:
                yield name, node.lineno


def _is_plain(decorators: list[ast.expr]) -> bool:
    """Whether what is decorated needs a caller: a validator, a command or a registration has one."""
    plain = ("property", "cached_property", "classmethod", "staticmethod", "dataclass", "contextmanager", "override")
    return all(ast.unparse(one).split("(")[0].rpartition(".")[2].endswith(plain) for one in decorators)


def uncalled(modules: Mapping[str, ast.Module]) -> list[str]:
    """Public names of the product that the product itself never reads."""
    read = Counter(name for tree in modules.values() for name in _reads(tree))
    imported: dict[str, set[str]] = defaultdict(set)
    doors: set[str] = set()
    for module, tree in modules.items():
        for node in syntax.nodes(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported[node.module] |= {one.name for one in node.names}
                doors |= {node.module} - {door for name, door in OPENING.items() if module.startswith(f"{name}.")}
    closed = tuple(f"{name}." for name, door in OPENING.items() if door not in doors)
    return [
        f"{module}:{line} {name}"
        for module, tree in modules.items()
        for name, line in _definitions(tree.body, in_class=False)
        if not name.startswith("_") and name not in CALLED_FROM_OUTSIDE and not module.startswith(closed)
        if not read[name] and name not in imported[module]
    ]


# what is looked up in sets and mappings are names of fields and options
_NAME: Final = re.compile(rb":?[a-z][a-z0-9]*(-[a-z0-9]+)*|\*|[A-Z]{2,}")


def slow_in_compiled_code(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What mypyc makes slow: a search for bytes by `in`, which raises and clears a TypeError, and `translate` with
    octets to delete, which builds a table for each call."""
    constants: dict[str, object] = {}
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign | ast.Assign) and isinstance(statement.value, ast.Constant):
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
            constants.update((target.id, statement.value.value) for target in targets if isinstance(target, ast.Name))
    for node in syntax.nodes(tree):
        match node:
            case ast.Compare(left=ast.Constant(value=bytes() as value), ops=[ast.In() | ast.NotIn()]):
                sought: object = value
            case ast.Compare(left=ast.Name(id=name), ops=[ast.In() | ast.NotIn()]):
                sought = constants.get(name)
            case ast.Call(func=ast.Attribute(attr="translate"), args=[ast.Constant(value=None), _]):
                yield node.lineno, "translate(None, ...)"
                continue
            case _:
                continue
        if isinstance(sought, bytes) and not _NAME.fullmatch(sought):
            yield node.lineno, f"{sought!r} in ..."


def pure_modules() -> list[str]:
    """The modules that do no I/O and read no clock, as pyproject.toml lists them: tests take every branch of theirs."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [path.removesuffix(".py").replace("/", ".") for path in document["tool"]["coverage"]["run"]["include"]]


def impure(graph: Graph) -> dict[str, str]:
    """Pure modules that reach I/O or a clock, and the chain of imports that leads there."""
    return {module: " -> ".join(chain) for module in pure_modules() if (chain := way_out(graph, module))}


def way_out(graph: Graph, module: str) -> list[str]:
    chains = [[module]]
    seen = {module}
    for chain in chains:
        for imported in sorted(graph.get(chain[-1], ())):
            if imported in DOES_IO and (chain[-1], imported) not in COMPUTES:
                return [*chain, imported]
            if imported not in seen:
                seen.add(imported)
                chains.append([*chain, imported])
    return []


def main() -> None:
    """Print the figures."""
    graph, modules = imports(), parsed()
    print = sys.stdout.write  # noqa: A001 - a table on the standard output
    for package in ("proxy", "certs"):
        arrows = rooms(graph, package)
        count = sum(map(len, arrows.values()))
        print(f"{package}: {len(arrows)} rooms on {height(arrows)} floors, {count} arrows, ")
        print(f"{'a circle' if circle(arrows) else 'no circle'}, {len(loose(package))} loose files\n")
    contents = inside(graph, modules)
    for name, arrows in sorted(contents.items()):
        floors = "a circle" if circle(arrows) else f"{height(arrows)} floors"
        count = files(arrows, contents)
        print(
            f"  {name:32} {count:3} files, {len(arrows) - count:2} rooms, {floors}, {sum(map(len, arrows.values()))} arrows\n"
        )
    print(
        f"{len(modules)} modules, {len(pure_modules())} of them pure, {len(impure(imports(with_annotations=False)))} not really\n"
    )
    print(
        f"class names with two meanings: {len(twins(modules))}; public names without a caller: {len(uncalled(modules))}\n"
    )


if __name__ == "__main__":
    main()
