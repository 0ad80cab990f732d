"""The suites that can be used in this process, and the keys that are made by them."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Final

from config.loading.loaded import LoadedConfig
from config.schema import Config
from config.values.problems import Location, Problem
from proxy.payload.keys import liboqs
from proxy.payload.keys.keyring import SECRET_BYTES, Keyring
from proxy.payload.keys.liboqs import LiboqsUnusable, liboqs_suite
from proxy.payload.keys.payload_keys import kem_ring, policies, suite_of
from proxy.payload.keys.suites import BUILT_IN, Suite

_OF_JAVASCRIPT: Final = frozenset({"MLKEM768-X25519", "MLKEM1024-P384"})
"""The suites of `clients/javascript`."""
_LARGE_DOCUMENT: Final = 100_000
"""In bytes: as much as a page loads otherwise."""


def suite(name: str) -> Suite:
    """A suite by its name. Raises `KeyError`, or `LiboqsUnusable` if it is not usable here."""
    found = BUILT_IN.get(name)
    if found is not None:
        return found
    if name not in liboqs.SUITES:
        raise KeyError(name)
    return liboqs_suite(name)


def new_secret(ring: str) -> bytes:
    """What a new key of a ring is made of. Raises as `suite` does."""
    name = suite_of(ring)
    return secrets.token_bytes(SECRET_BYTES) if name is None else suite(name).generate()


def variant_of(ring: str) -> str:
    """The variant of a ring's algorithm; empty if its name says it all. Raises as `suite`."""
    name = suite_of(ring)
    return "" if name is None else suite(name).variant


def completed(config: Config, known: Mapping[str, Keyring], now: float) -> dict[str, Keyring]:
    """Every ring that a configuration needs. Raises as `suite` does.

    Rings that are not `known` are made, and those of another variant start again.
    """

    def ring(name: str) -> Keyring:
        variant = variant_of(name)
        found = known.get(name)
        if found is None:
            return Keyring.fresh(name, new_secret(name), now, variant)
        return found if found.variant == variant else found.restarted(new_secret(name), now, variant)

    return {name: ring(name) for name in policies(config)}


def variant_warnings(loaded: LoadedConfig, rings: Mapping[str, Keyring]) -> Iterator[Problem]:
    """The rings whose keys are of another variant of their algorithm than the one here."""
    sessions = loaded.config.payload.sessions
    for index, configured in enumerate(() if sessions is None else sessions.suites):
        found = rings.get(kem_ring(configured.value))
        try:
            here = suite(configured.value).variant
        except LiboqsUnusable:  # `suite_problems` says so
            continue
        if found is not None and found.variant != here:
            yield loaded.file.warning(
                ("payload", "sessions", "suites", index),
                f"keys of {configured.value} that were made for {found.variant or 'an unknown variant'}; liboqs here has {here}",
                "nothing to do: the old keys are retired and new ones made; clients need a liboqs of the same variant",
            )


def _large_document(loaded: LoadedConfig, location: Location, found: Suite) -> Iterator[Problem]:
    # `liboqs`: the mechanism, and the lengths of public key and ciphertext
    public = int(found.variant.split("/")[1])
    size = public * 16 // 9  # written in base64 twice, for the key and for what is signed
    if size > _LARGE_DOCUMENT:
        yield loaded.file.warning(
            location,
            f'"{found.name}", whose public key makes the document of keys {size // 1_000} KB',
            "another suite; or clients that keep the document and ask by If-None-Match (docs/payload.md)",
        )


def suite_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """The suites of a configuration that cannot be used here.

    And a warning for those that may differ from what others have under that name.
    """
    sessions = loaded.config.payload.sessions
    of_liboqs = None
    if sessions is not None and _OF_JAVASCRIPT.isdisjoint(one.value for one in sessions.suites):
        yield loaded.file.warning(
            ("payload", "sessions", "suites"),
            "no suite that the client in JavaScript has, so no page can make a session",
            f"{' or '.join(sorted(_OF_JAVASCRIPT))} as well: each client takes the first suite that it has",
        )
    for index, configured in enumerate(() if sessions is None else sessions.suites):
        location = ("payload", "sessions", "suites", index)
        if configured.value not in liboqs.SUITES:
            continue
        try:
            found = suite(configured.value)
        except LiboqsUnusable as error:
            yield loaded.file.error(
                location,
                f'"{configured.value}", which cannot be used: {error.reason}',
                "liboqs 0.16 or newer with this KEM (OQS_INSTALL_PATH says where it is) and pip install plexigate[liboqs],"
                f" or one of {', '.join(BUILT_IN)}",
            )
        else:
            of_liboqs = location
            yield from _large_document(loaded, location, found)
    if of_liboqs is not None and (fault := liboqs.version_fault()) is not None:
        yield loaded.file.warning(of_liboqs, fault, "the same release of both, 0.16 or newer")
