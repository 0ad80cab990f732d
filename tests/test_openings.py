"""What changes files does so by `certs.files.directory`, which follows no link of another user."""

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from tests import house, syntax

ELSEWHERE: Final = {
    "certs.files.directory": "it is the one way",
    "proxy.admin.listening": "its directories belong to root or to this user: others are refused (`_refuse_directory`)",
    "proxy.commands.hsm.init_dev": "writes where a person says, at that moment",
    "proxy.commands.payload_clients": "writes where a person says, at that moment",
    "proxy.commands.terminal.output": "opens /dev/null",
    "proxy.commands.terminal.output_file": "writes where a person says: to a terminal or a pipe",
    "proxy.doctor.credentials.speed": "a temporary file without a name that others know",
    "proxy.downstream.service.spool": "a file without a name, of a worker, which has no rights of root",
    "proxy.limits.shared": "memory",
    "proxy.signing.login_turns": "memory",
    "proxy.supervisor.alerts.surroundings": "a file without a name (O_TMPFILE): nothing is changed",
}
"""Modules that change files in another way, and why they may."""

_FUNCTIONS: Final = {
    "os": {
        *("chmod", "chown", "lchown", "link", "makedirs", "mkdir", "mkfifo", "mknod", "open", "remove", "removedirs"),
        *("rename", "renames", "replace", "rmdir", "symlink", "truncate", "unlink", "utime"),
    },
    "shutil": {"chown", "copy", "copy2", "copyfile", "copytree", "move", "rmtree"},
    "tempfile": {"NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile", "mkdtemp", "mkstemp"},
}
_METHODS: Final = {
    *("chmod", "hardlink_to", "mkdir", "rmdir", "symlink_to", "unlink", "write_bytes", "write_text"),
}
# Of `Path`; those of the same name of ours take two names, and those of values and texts another number.
_METHODS_OF_ONE: Final = {"rename", "replace"}
_WRITES: Final = {"O_APPEND", "O_CREAT", "O_RDWR", "O_TMPFILE", "O_TRUNC", "O_WRONLY"}


def openings(module: ast.Module) -> Iterator[str]:
    """The calls that change files."""
    for node in syntax.nodes(module):
        if isinstance(node, ast.Call) and _changes_a_file(node):
            yield f"{node.lineno}: {ast.unparse(node.func)}"


def _changes_a_file(call: ast.Call) -> bool:
    arguments = [ast.unparse(one) for one in [*call.args, *(one.value for one in call.keywords)]]
    match call.func:
        case ast.Name("open"):
            return any(_is_mode_of_writing(one) for one in arguments[1:])
        case ast.Attribute(ast.Name("os"), "open"):
            return any(flag in arguments[1] for flag in _WRITES) or "O_RDONLY" not in arguments[1]
        case ast.Attribute(ast.Name(owner), name) if owner in _FUNCTIONS:
            return name in _FUNCTIONS[owner]
        case ast.Attribute(_, "open"):
            return any(_is_mode_of_writing(one) for one in arguments)
        case ast.Attribute(_, name) if name in _METHODS_OF_ONE:
            return len(call.args) == 1 and not call.keywords and ast.unparse(call.func) not in OURS
        case ast.Attribute(_, "touch"):
            return not call.args  # `Omissions.touch` takes a location
        case ast.Attribute(_, name):
            return name in _METHODS
        case _:
            return False


OURS: Final = {"self.replace"}
"""A worker is replaced."""


def _is_mode_of_writing(argument: str) -> bool:
    return argument[:1] in {"'", '"'} and set(argument[1:-1]) <= set("rwaxbt+") and bool(set(argument) & set("wax+"))


def test_files_are_changed_in_one_way() -> None:
    found = {name: [*openings(module)] for name, module in house.parsed().items()}
    others = {name: calls for name, calls in found.items() if calls and name not in ELSEWHERE}
    assert others == {}
    assert {name for name in ELSEWHERE if not found[name]} == set(), "these need no exception any more"


@pytest.mark.parametrize(
    "source",
    [
        "open(path, 'a')",
        "path.open('w')",
        "path.open(mode='xb')",
        "os.open(path, os.O_RDWR)",
        "os.open(path, flags | os.O_CREAT)",
        "os.open(path, flags)",
        "os.chmod(path, 0)",
        "path.chmod(0)",
        "self.path.unlink()",
        "path.rename(other)",
        "path.replace(other)",
        "shutil.rmtree(path)",
        "tempfile.mkstemp()",
        "path.write_text('')",
        "path.touch(mode=0o600)",
    ],
)
def test_another_way_is_found(source: str) -> None:
    assert [*openings(ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        "open(path)",
        "path.open('rb')",
        "os.open(path, os.O_RDONLY)",
        "text.replace('a', 'b')",
        "replace(value, a=1)",
        "moment.replace(tzinfo=UTC)",
        "directory.rename('a', 'b')",
        "webbrowser.open('https://a.test/wax')",
    ],
)
def test_what_only_reads_is_none(source: str) -> None:
    assert not [*openings(ast.parse(source))]
