"""The shape of the project: an untrusted client finds things where they look, and what is dead or has grown too large is seen."""

import ast
import re
from pathlib import Path

from config.schema import Config
from tests import house, syntax

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxy", "certs", "config")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)
LONGEST_FILE = 450
# Protocols only: what they promise is tested where it is kept.
WITHOUT_CODE = {
    Path(f"proxy/{package}/contracts.py")
    for package in ("admin/requests", "signing", "supervisor/tokens", "supervisor/workers", "upstream/pooling")
} | {
    Path("certs/sealing/importing.py"),
    Path("proxy/downstream/http2/host.py"),
    Path("proxy/http2/session/served_session.py"),
    Path("proxy/net/byte_stream.py"),
    Path("proxy/rotation/fellows.py"),
    Path("proxy/supervisor/membership/shared_kind.py"),
    Path("proxy/upstream/http2/shared_connection.py"),
}
DRAWERS = re.compile(r"(^|_)(util|utils|helper|helpers|common|misc|base|core|manager|handler)s?$")


def test_each_module_has_its_test_file() -> None:
    tested = {module for module in MODULES if (ROOT / "tests" / module.parent / f"test_{module.name}").is_file()}
    assert len(MODULES) > 500
    assert sorted(set(MODULES) - tested - WITHOUT_CODE) == []


def test_no_module_is_a_drawer_or_too_long() -> None:
    lines = {str(module): len((ROOT / module).read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {module: count for module, count in lines.items() if count > LONGEST_FILE} == {}, "split it by idea"
    assert [str(module) for module in MODULES if DRAWERS.search(module.stem)] == []


def test_what_stands_in_for_something_of_ours_is_neither_cast_nor_a_subclass_of_it() -> None:
    """A build that enforces types at run time takes it by the protocol that it keeps."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}
    tests = {
        str(path.relative_to(ROOT)): syntax.tree(path)
        for path, text in texts.items()
        if re.search(r"\bcast\b|^\s*class \w+\(", text, re.MULTILINE)  # the others have nothing to look at
    }
    assert house.disguises(tests, house.parsed()) == []


def test_the_top_level_is_what_it_is_said_to_be() -> None:
    asked_for = {
        "pyproject.toml",
        "proxy",
        "certs",
        "config",
        "tests",
        "docker",
        "docs",
        "README.md",
        "LICENSE",
        "SECURITY.md",
        "CONTRIBUTING.md",
    }
    ours = {
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "NOTICE",
        "debian",
        "hatch_build.py",
        "mkdocs.yml",
        "constraints.txt",
        "constraints-build.txt",
        "constraints-dev.txt",
        "dev",
        ".ci",
        ".gitignore",
    }
    left_by_tools = re.compile(r"\.(git|venv|dev|coverage.*|.*_cache|hypothesis)|dist|__pycache__|.*\.egg-info")
    found = {path.name for path in ROOT.iterdir() if not left_by_tools.fullmatch(path.name)}
    assert found == asked_for | ours


def fields(model: object, seen: set[str]) -> set[str]:
    """The names of all fields of a model and of the models in it."""
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        seen.add(name)
        for module, part in re.findall(r"(config(?:\.[a-z_]+)+)\.(\w+)", str(field.annotation)):
            nested = getattr(__import__(module, fromlist=[part]), part, None)
            if hasattr(nested, "model_fields"):
                fields(nested, seen)
    return seen


def test_each_key_of_the_configuration_is_read_outside_of_it() -> None:
    read = {
        node.attr
        for module in MODULES
        if module.parts[0] != "config"
        for node in syntax.nodes(syntax.tree(ROOT / module))
        if isinstance(node, ast.Attribute)
    }
    known_only_as_pairs = {"certificate", "key", "credential"}  # read as `IdentityConfig.credentials`
    known_only_as_pairs |= {"label", "serial", "slot"}  # read as `HsmConfig.tokens_of`
    known_only_as_pairs |= {"proxy_protocol_from"}  # read as `ListenerConfig.header_senders`
    known_only_as_pairs |= {"weaker_signatures"}  # read as `ListenerConfig.binds_signatures`
    keys = fields(Config, set())
    assert "websocket_idle_seconds" in keys
    assert "names" in keys
    assert keys - read - known_only_as_pairs == set()


def test_no_room_of_the_supervisor_knows_the_supervisor() -> None:
    rooms = [module for module in MODULES if module.parts[:2] == ("proxy", "supervisor")]
    assert len(rooms) > 40
    knowing = [module for module in rooms if "supervisor.supervisor" in (ROOT / module).read_text(encoding="utf-8")]
    assert knowing == []
