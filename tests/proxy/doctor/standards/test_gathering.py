"""What standards are judged by is gathered."""

import hashlib
from pathlib import Path
from typing import Any

from config.loading.loader import load
from proxy.admin.client import AdminRefused
from proxy.doctor.checkup import AnsweringProxy, Examined
from proxy.doctor.standards.gathering import gathered
from tests.configurations import Site
from tests.parts import part
from tests.proxy.doctor.checkups import NOON


def answers(path: str) -> Any:
    assert path == "/payload"
    return {"rings": []}


def refuses(path: str) -> Any:
    raise AdminRefused(404, path)


def test_everything_that_is_there(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    file = site.write(site.minimal)
    found = gathered(Examined(file, load(file), AnsweringProxy(part({"listeners": []}), answers), "", lambda: NOON))
    assert found.status == part({"listeners": []})
    assert found.payload == {"rings": []}
    assert found.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.now == NOON.timestamp()
    assert found.config is not None
    assert found.openssl is not None
    assert "default" in found.openssl.providers


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    found = gathered(Examined(None, None, None, "absent", lambda: NOON))
    assert (found.config, found.status, found.payload, found.digest) == (None, None, None, None)
    refused = gathered(Examined(None, None, AnsweringProxy(part({}), refuses), "", lambda: NOON))
    assert refused.payload is None
    gone = tmp_path / "gone.toml"
    gone.write_text("listener = 7")
    assert gathered(Examined(gone, None, None, "", lambda: NOON)).config is None
