"""The `openssl.cnf` of a worker, as text. Pure.

It activates OpenSSL's own provider, pkcs11-provider where keys are in tokens, and what was asked
for, in this order. It names no PIN: a default one would be tried on every token, so each URI brings
its own.

When the FIPS provider has started, a second file follows: OpenSSL then takes approved algorithms
alone (`fips=yes`). Its own provider stays: it reads the files of keys, and its algorithms are not
approved, so TLS does not use them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

APPROVED_ALONE: Final = "\n".join(
    (
        "openssl_conf = plexigate",
        "[plexigate]",
        "alg_section = algorithms",
        "[algorithms]",
        "default_properties = fips=yes",
        "",
    )
)
"""The file for a process in which the FIPS provider has started. Without that provider, OpenSSL
would have no algorithm left."""
PKCS11: Final = "pkcs11"
"""The name of pkcs11-provider."""
FIPS: Final = "fips"
"""The name of OpenSSL's FIPS provider."""
FIPS_FILE: Final = "fipsmodule.cnf"
"""What `openssl fipsinstall` writes: the checksum of the module, and which checks it makes. Without
it the FIPS provider does not start."""

# The most sessions that it keeps open for the next signature. It keeps as many as were used at one
# time, which the number of signing threads decides. The limit is above every [hsm.token.NAME], so
# no session is opened for one signature and closed after it.
_CACHED_SESSIONS: Final = 1_024

_PKCS11_SETTINGS: Final = (
    # else it unloads the module at exit, when the OpenSSL that the module may use is half gone:
    # SoftHSM then crashes
    "pkcs11-module-quirks = no-deinit",
    # else the first key in a token brings the provider's algorithms up, and from then on keys of
    # files travel into the token
    "pkcs11-module-load-behavior = early",
    # else the session gets a copy of each key, which signs on when the key is destroyed
    "pkcs11-module-cache-keys = never",
    f"pkcs11-module-cache-sessions = {_CACHED_SESSIONS}",
)

# Names and values of `openssl fipsinstall`. They say nothing of where the module is.
_FIPS_SETTING: Final = re.compile(r"(?!activate|module )([a-z0-9-]+) *= *([0-9A-Fa-f:]+)")

# The characters that the configuration language of OpenSSL does not take as they are (config(5)).
_SPECIAL: Final = frozenset("\\\"'`#$")


@dataclass(frozen=True, slots=True)
class ProviderModule:
    """A provider by its `name`, with its own settings.

    `path` None lets OpenSSL look in its own directory.
    """

    name: str
    path: str | None = None
    settings: Sequence[str] = ()


def pkcs11_provider(path: str | None, library: str) -> ProviderModule:
    """pkcs11-provider in front of the PKCS#11 library of a token's vendor."""
    return ProviderModule(PKCS11, path, (f"pkcs11-module-path = {_escaped(library)}", *_PKCS11_SETTINGS))


def fips_provider(path: str | None, installed: str) -> ProviderModule:
    """The FIPS provider with the settings of the file that `openssl fipsinstall` wrote."""
    found = filter(None, map(_FIPS_SETTING.fullmatch, map(str.strip, installed.splitlines())))
    return ProviderModule(FIPS, path, tuple(f"{one[1]} = {one[2]}" for one in found))


def openssl_configuration(providers: Sequence[ProviderModule]) -> str:
    listed = ["default = provider_default"]
    sections = ["[provider_default]", "activate = 1"]
    for provider in providers:
        listed.append(f"{provider.name} = provider_{provider.name}")
        sections += [f"[provider_{provider.name}]", "activate = 1"]
        if provider.path is not None:
            sections.append(f"module = {_escaped(provider.path)}")
        sections += provider.settings
    head = ["openssl_conf = plexigate", "[plexigate]", "providers = providers", "[providers]"]
    return "\n".join([*head, *listed, *sections, ""])


def _escaped(path: str) -> str:
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in path)
