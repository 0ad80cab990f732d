"""The clients that `plexigate payload client` writes: whole, typed, and understood by the proxy."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import proxy.payload
from proxy.commands.payload_clients import MODULES
from proxy.payload.client import PayloadClient
from proxy.payload.messages.binding import Direction
from tests.payloads import NOW
from tests.proxy.commands.test_running import plexigate

SOURCES = Path(proxy.payload.__file__).parent
RING = {
    "ring": "chat",
    "bind": True,
    "envelope": "none",
    "max_age_seconds": 60,
    "keys": [{"version": 1, "state": "active", "key": "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="}],
}
STRANGER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import plexigate_payload
from plexigate_payload import PayloadClient
sealed = PayloadClient.of_ring(json.loads(sys.argv[2]), lambda: float(sys.argv[3])).request("POST", sys.argv[4], b"hello")
strange = [name for name in sys.modules if name.split(".")[0] in ("proxy", "certs", "config")]
print(json.dumps([sealed.headers, sealed.body.decode(), strange, plexigate_payload.__all__]))
"""
"""A program that has the written package and nothing else of Plexigate."""


def imported(name: str) -> set[str]:
    tree = ast.parse((SOURCES / f"{name}.py").read_text(encoding="utf-8"))
    froms = [one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
    plain = [alias.name for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names]
    return {one for one in froms + plain if one.split(".")[0] in ("proxy", "certs", "config")}


def test_python_package_stands_alone_and_the_proxy_reads_what_it_seals(tmp_path: Path) -> None:
    written = plexigate("payload", "client", "--python", str(tmp_path / "py"))
    assert written.output == f"{tmp_path}/py has the python client, 17 files. Begin with {tmp_path}/py/README.md.\n"
    url = "https://chat.test/letters?x=1"
    command = [sys.executable, "-I", "-c", STRANGER, str(tmp_path / "py"), json.dumps(RING), str(NOW), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    headers, token, strange, offered = json.loads(done.stdout)
    assert strange == []
    assert (headers["Payload-Key"], headers["Content-Encoding"]) == ("chat:1", "fernet")
    assert {"PayloadClient", "SessionOffer", "PinnedIdentity", "AnswerNotSealed", "PayloadFault"} <= set(offered)

    here = PayloadClient.of_ring(RING, lambda: NOW)
    digest = here._place("POST", url).digest(Direction.REQUEST)
    assert here._channel.open(Direction.REQUEST, token.encode(), digest, NOW, None).plain == b"hello"


def test_package_has_each_module_that_its_modules_import() -> None:
    named = {f"proxy.payload.{name.replace('/', '.')}" for name in MODULES}
    assert {one for name in MODULES for one in imported(name)} == named - {
        "proxy.payload.client",
        "proxy.payload.keys.liboqs",  # for clients that ask for its suites
    }


def test_python_package_is_typed_and_names_what_it_needs(tmp_path: Path) -> None:
    plexigate("payload", "client", "--python", str(tmp_path))
    settings = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert settings["version"] == version("plexigate")
    assert [re.split(r"\W", one)[0] for one in settings["dependencies"]] == ["cryptography"]
    assert settings["optional-dependencies"] == {"liboqs": ["liboqs-python>=0.16"]}
    for name in ("README.md", "LICENSE", "NOTICE", "plexigate_payload/py.typed"):
        assert (tmp_path / name).is_file()
    assert "hpke" not in (tmp_path / "NOTICE").read_text()
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "--no-site-packages",
         "--ignore-missing-imports", "--no-warn-return-any", "--config-file", os.devnull, "plexigate_payload"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_browser_module_comes_with_types_and_notices(tmp_path: Path) -> None:
    written = plexigate("payload", "client", "--js", str(tmp_path))
    assert "has the javascript client, 8 files" in written.output
    assert "Filip Skokan" in (tmp_path / "NOTICE").read_text()
    package = json.loads((tmp_path / "package.json").read_text())
    assert (package["version"], package["type"]) == (version("plexigate"), "module")
    for export in package["exports"].values():
        for name in export.values():
            assert (tmp_path / name).is_file()


@pytest.mark.parametrize("name", ["payload", "payload-libraries"])
def test_types_declare_what_the_module_exports(name: str) -> None:
    script = f"import({json.dumps(str(SOURCES / 'clients/javascript' / name) + '.js')}).then((m) => console.log(JSON.stringify(Object.keys(m))))"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=True)
    declared = (SOURCES / "clients/javascript" / f"{name}.d.ts").read_text()
    assert sorted(re.findall(r"^export (?:class|const) (\w+)", declared, re.MULTILINE)) == sorted(
        json.loads(done.stdout)
    )


def test_files_of_somebody_else_are_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    refused = plexigate("payload", "client", "--js", str(tmp_path))
    assert (refused.exit_code, "README.md" in refused.output, "--force" in refused.output) == (1, True, True)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert plexigate("payload", "client", "--js", str(tmp_path), "--force").exit_code == 0
    assert (tmp_path / "README.md").read_text() != "mine"
    again = plexigate("payload", "client", "--js", str(tmp_path))
    assert again.exit_code == 0


def test_a_place_has_to_be_named_and_writable(tmp_path: Path) -> None:
    nothing = plexigate("payload", "client")
    assert (nothing.exit_code, "--python DIR, --js DIR" in nothing.output) == (2, True)
    (tmp_path / "file").touch()
    refused = plexigate("payload", "client", "--python", str(tmp_path / "file" / "x"))
    assert (refused.exit_code, "Not a directory" in refused.output) == (1, True)
