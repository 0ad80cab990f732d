"""Every write is durable, atomic, and a crash point."""

import ast
import stat
from pathlib import Path

import pytest

from certs.storage.disk import Disk
from tests.certs.crashes import crashes, steps_of

ROOT = Path(__file__).parents[3]
# What changes files, by the name of the function or method that is called.
WRITES = {
    "chmod", "copy", "copyfile", "fchmod", "fdopen", "fsync", "hardlink_to", "link", "makedirs", "mkdir", "move", "mkstemp",
    "open", "remove", "removedirs", "rename", "renames", "replace", "rmdir", "rmtree", "symlink", "symlink_to", "touch",
    "truncate", "unlink", "utime", "write", "write_bytes", "write_text",
}  # fmt: skip
# Names of our own that are spelled the same: the disk's, a sealer's, and `replace` of values and texts.
OURS = {"disk", "_disk", "dataclasses", "sealer", "_sealer"}


def writes_of(source: str) -> list[str]:
    """The calls of a module that change files without the disk's knowledge."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in WRITES and not reads_or_replaces_text(node):
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if name not in OURS:
                found.append(f"{name}.{node.func.attr}")
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            found.append("open")
    return found


def reads_or_replaces_text(call: ast.Call) -> bool:
    """`open("rb")` changes nothing, and a `replace` of two arguments is that of text."""
    if ast.unparse(call.func).endswith(".open"):
        return bool(call.args) and ast.unparse(call.args[0]) in {"'r'", "'rb'"}
    called = ast.unparse(call.func)
    return called.endswith(".replace") and called != "os.replace" and len(call.args) > 1


MODULES = [
    *sorted(
        path
        for place in ("certs/storage", "certs/issuing", "certs/rotation")
        for path in (ROOT / place).rglob("*.py")
        if path.name not in {"disk.py", "lock.py"}  # the disk itself, and a file without content
    ),
    ROOT / "certs/sealing/own_key.py",
    ROOT / "certs/homes/software_homes.py",
]


@pytest.mark.parametrize("module", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_nothing_writes_but_the_disk(module: Path) -> None:
    assert writes_of(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "path.write_bytes(b'')",
        "os.rename(a, b)",
        "open('x', 'w')",
        "path.open('w')",
        "self.path.unlink()",
        "os.replace(a, b)",
        "path.replace(other)",
    ],
)
def test_a_write_past_the_disk_is_found(source: str) -> None:
    assert writes_of(source) != []


def test_every_system_call_of_the_disk_that_changes_something_has_its_step_before_it() -> None:
    tree = ast.parse((ROOT / "certs/storage/disk.py").read_text(encoding="utf-8"))
    calls = {"create_anew", "make", "fsync", "rename", "remove", "remove_directory", "sync", "_write_all"}
    methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name != "_write_all"]
    for method in methods:
        made = [
            node
            for node in ast.walk(method)
            if isinstance(node, ast.Call)
            and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in calls
            and _owner(node) != "self"
        ]
        steps = [
            node.lineno
            for node in ast.walk(method)
            if isinstance(node, ast.Call) and _owner(node) == "self" and _called(node) == "_step"
        ]
        for call in made:
            assert call.lineno - 1 in steps, (
                f"{method.name}, line {call.lineno}: {_called(call)} without a step before it"
            )


def _owner(node: ast.Call) -> str:
    return node.func.value.id if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) else ""


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_a_file_is_the_old_one_or_the_new_one_at_every_step(tmp_path: Path) -> None:
    def work(place: Path, disk: Disk) -> None:
        (place / "file").write_bytes(b"old content")
        disk.write(place / "file", b"new content")

    seen = {(place / "file").read_bytes() for _, place in crashes(work, tmp_path)}
    assert seen == {b"old content", b"new content"}


def test_content_is_synced_before_it_has_its_name_and_the_name_after(tmp_path: Path) -> None:
    assert steps_of(lambda disk: disk.write(tmp_path / "file", b"12")) == [
        "create file.new",
        "write to file.new",
        "write to file.new",
        "sync file.new",
        "rename file.new to file",
        f"sync {tmp_path.name}/",
    ]


def test_nobody_else_may_read_what_is_written(tmp_path: Path) -> None:
    disk = Disk()
    disk.make_directory(tmp_path / "a" / "b")
    disk.write(tmp_path / "a" / "b" / "file", b"")
    assert stat.S_IMODE((tmp_path / "a" / "b" / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    disk.make_directory(tmp_path / "a" / "b")


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"untouched")
    (tmp_path / "file.new").symlink_to(tmp_path / "other")
    Disk().write(tmp_path / "file", b"content")
    assert (tmp_path / "other").read_bytes() == b"untouched"
    assert (tmp_path / "file").read_bytes() == b"content"
    assert not (tmp_path / "file").is_symlink()


def test_what_is_left_behind_by_a_crash_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file.new").write_bytes(b"much longer than what comes")
    Disk().write(tmp_path / "file", b"short")
    assert (tmp_path / "file").read_bytes() == b"short"


def test_files_and_directories_are_removed_where_they_are(tmp_path: Path) -> None:
    disk = Disk()
    disk.make_directory(tmp_path / "a")
    disk.write(tmp_path / "a" / "file", b"")
    disk.remove_directory(tmp_path / "a")
    disk.remove_directory(tmp_path / "a")
    disk.remove(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
