"""The suites that can be used in this process, and secrets for new keys."""

import secrets
from collections.abc import Iterator, Mapping

from config.loaded import LoadedConfig
from config.problems import Problem
from proxy.payload.keyring import SECRET_BYTES
from proxy.payload.keys import suite_of
from proxy.payload.liboqs import liboqs_suites
from proxy.payload.suites import BUILT_IN, Suite


def suites() -> Mapping[str, Suite]:
    """Every suite that can be used here, by name."""
    return {**BUILT_IN, **liboqs_suites()}


def new_secret(ring: str) -> bytes:
    """The secret of a new key of a ring. Raises `KeyError` for a suite that cannot be used here."""
    suite = suite_of(ring)
    return secrets.token_bytes(SECRET_BYTES) if suite is None else suites()[suite].generate()


def suite_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """The suites of a configuration that cannot be used here."""
    sessions = loaded.config.payload.sessions
    known = suites()
    for index, suite in enumerate(() if sessions is None else sessions.suites):
        if suite.value not in known:
            yield loaded.error(
                ("payload", "sessions", "suites", index),
                f'"{suite.value}", for which liboqs or its Python package is not installed here',
                "liboqs with this KEM (OQS_INSTALL_PATH says where it is) and pip install liboqs-python, or one of"
                f" {', '.join(known)}",
            )
