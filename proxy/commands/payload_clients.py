"""The clients of encrypted payloads that `plexigate payload client` writes into a directory.

The Python package consists of the modules that the proxy itself runs, so the two cannot drift
apart; only the name of their package is another one. All files of a client are written, or none.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Final

from proxy.commands.terminal.output_file import PUBLIC_MODE, AlreadyThere, write_for_person

MODULES: Final = (
    "client",
    "key_document",
    "keys/keyring",
    "keys/liboqs",
    "keys/suites",
    "messages/binding",
    "messages/causes",
    "messages/channel",
    "messages/codec",
    "messages/stream",
    "sessions",
)
"""The modules of `proxy.payload` that a client needs: those that `client` imports, and so on.

`liboqs` is for clients that ask for its suites. The package of a client has all of them in one
folder.
"""

_SOURCES: Final = files("proxy.payload")
_PACKAGE: Final = "plexigate_payload"
_PYTHON: Final = f'''"""Encrypted bodies between a program and Plexigate: see README.md."""

from {_PACKAGE}.causes import Cause, PayloadFault
from {_PACKAGE}.client import AnswerNotSealed, PayloadClient, SealedRequest, SealedSocket, SessionOffer
from {_PACKAGE}.key_document import DocumentRefused, PinnedIdentity

__all__ = [
    "AnswerNotSealed",
    "Cause",
    "DocumentRefused",
    "PayloadClient",
    "PayloadFault",
    "PinnedIdentity",
    "SealedRequest",
    "SealedSocket",
    "SessionOffer",
]
'''
_PROJECT: Final = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "plexigate-payload"
version = "{version}"
description = "Encrypted bodies between a program and Plexigate"
readme = "README.md"
license = "Apache-2.0"
license-files = ["LICENSE", "NOTICE"]
requires-python = ">=3.11"
dependencies = ["{cryptography}"]

[project.optional-dependencies]
liboqs = ["{liboqs}"]

[tool.hatch.build.targets.wheel]
packages = ["plexigate_payload"]
"""
_NODE_PACKAGE: Final = """{{
  "name": "plexigate-payload",
  "version": "{version}",
  "description": "Encrypted bodies between a page and Plexigate",
  "license": "Apache-2.0 AND MIT",
  "type": "module",
  "exports": {{
    ".": {{ "types": "./payload.d.ts", "default": "./payload.js" }},
    "./libraries": {{ "types": "./payload-libraries.d.ts", "default": "./payload-libraries.js" }}
  }}
}}
"""


class ClientLanguage(StrEnum):
    PYTHON = "python"
    JAVASCRIPT = "javascript"


def write_client(language: ClientLanguage, directory: Path, *, replaces: bool) -> list[Path]:
    """Write a client with its README, types and license, and return the paths of its files.

    A directory that is missing is made. A file with other content is replaced if `replaces` is
    true. Raises `AlreadyThere` or `OSError`.
    """
    contents = dict(_python() if language is ClientLanguage.PYTHON else _javascript())
    paths = {directory / name: content.encode() for name, content in contents.items()}
    if not replaces:
        for path, content in paths.items():
            if path.exists() and path.read_bytes() != content:
                raise AlreadyThere(path)
    for path, content in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_for_person(path, content, replaces=replaces, mode=PUBLIC_MODE)
    return list(paths)


def _python() -> Iterator[tuple[str, str]]:
    plexigate = distribution("plexigate")
    required = [one.partition(";")[0].strip() for one in plexigate.requires or ()]
    cryptography, liboqs = (
        next(one for one in required if one.startswith(name)) for name in ("cryptography", "liboqs-python")
    )
    yield "README.md", _text("clients/python/README.md")
    yield "pyproject.toml", _PROJECT.format(version=plexigate.version, cryptography=cryptography, liboqs=liboqs)
    yield "LICENSE", _legal("LICENSE")
    # what follows is about the libraries in JavaScript
    yield "NOTICE", _legal("NOTICE").partition("\n\n")[0] + "\n"
    yield f"{_PACKAGE}/__init__.py", _PYTHON
    yield f"{_PACKAGE}/py.typed", ""
    for path in MODULES:
        text = re.sub(r"from proxy\.payload\.(?:\w+\.)*?(?=\w+ import)", f"from {_PACKAGE}.", _text(f"{path}.py"))
        yield f"{_PACKAGE}/{path.rpartition('/')[2]}.py", text


def _javascript() -> Iterator[tuple[str, str]]:
    for name in ("README.md", "payload.js", "payload.d.ts", "payload-libraries.js", "payload-libraries.d.ts"):
        yield name, _text(f"clients/javascript/{name}")
    yield "package.json", _NODE_PACKAGE.format(version=distribution("plexigate").version)
    yield "LICENSE", _legal("LICENSE")
    # the libraries' licenses ask for it
    yield "NOTICE", _legal("NOTICE")


def _text(name: str) -> str:
    return _SOURCES.joinpath(name).read_text(encoding="utf-8")


def _legal(name: str) -> str:
    """A file that a distribution has beside its metadata (PEP 639)."""
    text = distribution("plexigate").read_text(f"licenses/{name}")
    assert text is not None, "license-files in pyproject.toml names it"
    return text
