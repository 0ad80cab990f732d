"""The tokens that a configuration uses, for the parent: how to log in to each, and which keys to
probe it with.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from certs.hsm.access import TokenAccess, TokenChoice, default_latch_directory
from certs.hsm.facts import KeyAddress
from certs.hsm.secret import Secret
from certs.identities.credential import Credential
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import KeyFamily, PublicKey
from config.loading.loaded import ConfigFile
from config.tables.hsm import HsmConfig
from config.values.problems import Problem

_CREDENTIAL: Final = "the systemd credential"


@dataclass(frozen=True, slots=True)
class TriedKey:
    """A key of a token, and what its signatures are checked with."""

    address: KeyAddress
    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key as the configuration names it, for people: its URI, and the identities that sign with
    it.
    """

    location: str
    address: KeyAddress
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class KeyPlace:
    """A key in a token: the NAME of its `[hsm.token.NAME]`, and its URI."""

    token: str
    location: str


@dataclass(frozen=True, slots=True)
class TokenUse:
    """`[hsm.token.NAME]`."""

    name: str
    access: TokenAccess
    pin_source: str
    """Where the PIN comes from, for an operator who has to fix it."""
    max_sessions: int
    keys: tuple[TriedKey, ...]
    """Each once."""
    login: bytes = field(repr=False)
    """The same for the same PIN of the same token, and as secret as the PIN."""
    named: tuple[NamedKey, ...] = ()
    """Each URI once; also of keys that are not tried."""

    def pin_problem(self, file: ConfigFile, detail: str) -> Problem:
        """The error of a PIN that the token refuses: what a check and a reload say of it."""
        place = ("hsm", "token", self.name)
        return file.error(place, f"the PIN from the {self.pin_source}: {detail}", "the PIN of this token")


def token_uses(
    file: ConfigFile,
    hsm: HsmConfig | None,
    identities: Mapping[str, tuple[Credential, ...]],
    pins: Mapping[str, Secret],
) -> tuple[TokenUse, ...]:
    """Every token of a configuration whose PIN is known, also one that no identity has a key in."""
    if hsm is None:
        return ()
    module = file.resolve(hsm.module).absolute()
    used = [
        (name, key)
        for name, several in identities.items()
        for one in several
        for key in one.keys
        if isinstance(key, Pkcs11Key)
    ]
    uses = []
    for name, token in hsm.token.items():
        if name not in pins:
            continue
        names = hsm.names[name]
        choice = TokenChoice(names.label, names.serial, names.slot)
        access = TokenAccess(module, choice, pins[name], default_latch_directory())
        source = f"file {token.pin_file}" if token.pin_file else f"{_CREDENTIAL} {token.pin_credential}"
        login = b"\0".join([str(module).encode(), str(choice).encode(), pins[name].digest])
        of_token = [(identity, key) for identity, key in used if key.token == name]
        keys = _tried(key for _, key in of_token)
        uses.append(TokenUse(name, access, source, token.max_sessions, keys, login, _named(of_token)))
    return tuple(uses)


def identities_in_tokens(identities: Mapping[str, tuple[Credential, ...]]) -> dict[str, frozenset[KeyPlace]]:
    """The identities that have no key but in tokens, with these.

    A key of ML-DSA beside others does not count: hardly a client could do with it alone.
    """
    found: dict[str, frozenset[KeyPlace]] = {}
    for identity, credentials in identities.items():
        usual = [one for one in credentials if one.algorithm.family is not KeyFamily.MLDSA] or credentials
        keys = [key for one in usual for key in one.keys]
        places = frozenset(KeyPlace(key.token, key.location) for key in keys if isinstance(key, Pkcs11Key))
        if places and all(isinstance(key, Pkcs11Key) for key in keys):
            found[identity] = places
    return found


def spare_tokens(
    uses: Iterable[TokenUse], identities: Mapping[str, frozenset[KeyPlace]], closed: Collection[str]
) -> frozenset[str]:
    """Those of the closed tokens that have keys, and without which every identity has another one.

    `identities` are `identities_in_tokens`.
    """
    lost = [keys for keys in identities.values() if all(key.token in closed for key in keys)]
    needed = {key.token for keys in lost for key in keys}
    return frozenset(use.name for use in uses if use.name in closed and use.named and use.name not in needed)


def _tried(keys: Iterable[Pkcs11Key]) -> tuple[TriedKey, ...]:
    # python-pkcs11 is not asked for Ed25519 (`SignatureMechanism`): the login alone reports a
    # token with nothing else
    able = [key for key in keys if not isinstance(key.public_key, Ed25519PublicKey)]
    by_address = {(key.uri.object, key.uri.id): key.public_key for key in able}
    return tuple(TriedKey(KeyAddress(label, id_), public) for (label, id_), public in by_address.items())


def _named(keys: Iterable[tuple[str, Pkcs11Key]]) -> tuple[NamedKey, ...]:
    named: dict[str, NamedKey] = {}
    for identity, key in keys:
        known = named.get(key.location)
        others = () if known is None else known.identities
        identities = others if identity in others else (*others, identity)
        named[key.location] = NamedKey(key.location, KeyAddress(key.uri.object, key.uri.id), identities)
    return tuple(named.values())
