"""Makes the parts of rotations from a configuration: store, homes of keys, issuers; and finds
contradictions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.acme.challenges.proofs import NobodyShows, Showing
from certs.audit.entries import Told, unheard
from certs.hierarchy.configured import vault_of
from certs.hierarchy.vault import Vault
from certs.homes.software_homes import FileHome, SealedHome
from certs.homes.token_home import LONGEST_IDENTITY, TokenHome
from certs.hsm.access import TokenAccess, TokenChoice, default_latch_directory, read_pin
from certs.issuing.internal_ca.authority import InternalAuthority, root_identity
from certs.issuing.internal_ca.names import is_permitted
from certs.issuing.issuer import Issuer, Issuers
from certs.issuing.trust import NoTrustStore, system_trust
from certs.keys.generating import ALGORITHMS
from certs.keys.home import Homes, KeyHome
from certs.sealing.envelope import Purpose
from certs.sealing.own_key import OWN_KEY_FILE, OwnKeySealer
from certs.sealing.sealer import Sealer, SucceedingSealer
from certs.storage.disk import Disk
from certs.storage.owner import Owner
from certs.storage.store import Store, store_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.tables.hsm import HsmConfig
from config.tables.issuers import AcmeIssuerConfig
from config.tables.rotation import FILE, SEALED, InternalIssuerConfig, IssuedCredential, KeySpec
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import Problem

ACCOUNTS: Final = "accounts"
"""The directory of ACME accounts within the state directory."""

_NOBODY: Final = Path("/")

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where one configuration keeps what was issued: the store, and the homes of keys."""

    loaded: LoadedConfig
    store: Store
    homes: Homes

    def credentials(self) -> Iterator[tuple[str, IssuedCredential]]:
        """The issued credentials with the names of their identities."""
        for name, one, _ in self.store.of_config(self.loaded.config):
            yield name, one


@dataclass(frozen=True, slots=True)
class Parts(Keeping):
    issuers: Issuers


def keeping_of(
    loaded: LoadedConfig, now: Clock, disk: Disk | None = None, vault: Vault | None = None, told: Told = unheard
) -> Keeping | None:
    """The parts without the issuers: those of a CA need its client, which takes long to load.

    Arguments, answer and errors are those of `parts_of`.
    """
    store = store_of(loaded.file, loaded.config.rotation, disk, told)
    if store is None:
        return None
    sealer = _sealer(store, vault or vault_of(loaded, now, told), Purpose.CREDENTIAL_KEY)
    return Keeping(loaded, store, homes_of(loaded.file, loaded.config.hsm, store, sealer))


def homes_of(file: ConfigFile, hsm: HsmConfig | None, store: Store, sealer: Sealer) -> Homes:
    """All of them, by the name behind the @ of a key. Nothing is read, and no token is asked."""
    homes: dict[str, KeyHome] = {FILE: FileHome(), SEALED: SealedHome(sealer)}
    if hsm is not None:
        for name in hsm.token:
            homes.setdefault(name, _token_home(file, hsm, name, store))
    return homes


def _token_home(file: ConfigFile, hsm: HsmConfig, name: str, store: Store) -> TokenHome:
    names = hsm.names[name]
    token = hsm.token[name]
    choice = TokenChoice(names.label, names.serial, names.slot)

    def access() -> TokenAccess:
        if token.pin_file is not None:
            pin_file = file.resolve(token.pin_file)
        else:
            assert token.pin_credential is not None  # one of both is there, see `TokenConfig`
            pin_file = file.resolve_credential(token.pin_credential) or _NOBODY
        return TokenAccess(file.resolve(hsm.module), choice, read_pin(pin_file), default_latch_directory())

    uri = Pkcs11Uri(token=names.label, serial=names.serial, slot_id=names.slot)
    return TokenHome(name, uri, access, Owner(store.directory, store.disk))


def parts_of(
    loaded: LoadedConfig,
    now: Clock,
    disk: Disk | None = None,
    showing: Showing | None = None,
    vault: Vault | None = None,
    told: Told = unheard,
) -> Parts | None:
    """Make the parts, without reading or writing. None if the configuration has no state directory.

    `now` is the clock, in UTC. `showing` is needed only for ACME challenges. `vault` is that of
    `[sealing]` (None: it is made here). `told` gets every operation on keys. Raises `ConfigError`
    without the PIN of the sealing key.
    """
    vault = vault or vault_of(loaded, now, told)
    keeping = keeping_of(loaded, now, disk, vault, told)
    if keeping is None:
        return None
    store = keeping.store
    homes = keeping.homes
    issuers: dict[str, Issuer] = {}
    if any(isinstance(one, AcmeIssuerConfig) for one in loaded.config.issuer.values()):
        showing = showing or Showing(NobodyShows(), lambda _: None)
        issuers |= _acme_issuers(loaded, store, _sealer(store, vault, Purpose.ACME_ACCOUNT), showing)
    for name, settings in loaded.config.issuer.items():
        if isinstance(settings, InternalIssuerConfig):
            root_key = None if settings.root_key is None else loaded.file.resolve(settings.root_key)
            issuers[name] = InternalAuthority(name, settings, store, homes, root_key, now)
    return Parts(loaded, store, homes, issuers)


def _sealer(store: Store, vault: Vault | None, purpose: Purpose) -> Sealer:
    own = OwnKeySealer(store.directory / OWN_KEY_FILE, store.disk)
    return own if vault is None else SucceedingSealer(vault.sealer(purpose), own)


def _acme_issuers(loaded: LoadedConfig, store: Store, sealer: Sealer, showing: Showing) -> Mapping[str, Issuer]:
    # imported here: the client of a CA takes as long to load as half of all other modules
    from certs.acme.client.accounts import AccountStore, FileAccountStore
    from certs.acme.client.sealed_accounts import FleetAccountStore, SealedAccountStore
    from certs.acme.making import acme_issuers

    accounts: AccountStore = SealedAccountStore(FileAccountStore(store.directory / ACCOUNTS), sealer)
    if showing.accounts is not None:
        accounts = FleetAccountStore(showing.accounts, accounts)
    return acme_issuers(loaded.file, loaded.config.issuer, loaded.config.rotation.issue_seconds, accounts, showing)


def issuance_problems(keeping: Keeping) -> Iterator[Problem]:
    """Credentials that can never be issued, and keys that protect less than expected.

    Sends no request.
    """
    loaded = keeping.loaded
    is_sealed = any(one.key.place == SEALED for _, one in keeping.credentials())
    if is_sealed and loaded.config.sealing.key is None:
        found = f"no key, so {OWN_KEY_FILE} in the state directory opens sealed keys: only backups without that file are protected"
        yield loaded.file.warning(
            ("sealing", "key"), found, 'a key in a token: "pkcs11:token=...;object=sealing.aes-256.v1"'
        )
    by_issuer: dict[tuple[str, str], None] = {}
    for identity, one in keeping.credentials():
        yield from _key_problems(keeping, ("identity", identity, *one.place), identity, one.key)
        by_issuer[identity, one.issuer] = None
    for identity, name in by_issuer:
        issuer = loaded.config.issuer.get(name)
        if isinstance(issuer, InternalIssuerConfig):
            names = loaded.config.identity[identity].names
            yield from _name_problems(loaded.file, identity, names, name, issuer.names)
    yield from _trust_problems(keeping)
    for name, authority in loaded.config.issuer.items():
        if isinstance(authority, InternalIssuerConfig):
            for key in ("key", "root"):
                yield from _key_problems(keeping, ("issuer", name, key), root_identity(name), getattr(authority, key))


def changed_issuers(before: Parts, after: Parts) -> Iterator[str]:
    """The issuers that may answer differently: their settings, or those of a fallback, have
    changed.
    """
    issuers = after.loaded.config.issuer
    former = before.loaded.config.issuer
    changed = {name for name, settings in issuers.items() if former.get(name) != settings}
    for name, settings in issuers.items():
        others = settings.fallback if isinstance(settings, AcmeIssuerConfig) else ()
        if not changed.isdisjoint({name, *others}):
            yield name


def _key_problems(keeping: Keeping, place: tuple[str | int, ...], identity: str, spec: KeySpec) -> Iterator[Problem]:
    home = keeping.homes.get(spec.place)
    if home is None:
        places = ", ".join(f'"{name}"' for name in sorted(keeping.homes))
        yield keeping.loaded.file.error(place, f'"{spec}", whose place does not exist', f"after the @, one of {places}")
    elif not home.makes(ALGORITHMS[spec.algorithm]):
        yield keeping.loaded.file.error(
            place, f'"{spec}", a key that this place cannot make', "another kind of key, or another place"
        )
    elif isinstance(home, TokenHome) and not home.can_name(identity):
        found = f'"{spec}", while "{identity}" is too long for the label of a key in a token'
        yield keeping.loaded.file.error(
            place, found, f"a name of at most {LONGEST_IDENTITY} characters, or another place"
        )


def _trust_problems(keeping: Keeping) -> Iterator[Problem]:
    """Warn if there are no roots to verify new chains: present certificates serve, but no renewal
    would succeed.
    """
    for name, issuer in keeping.loaded.config.issuer.items():
        if isinstance(issuer, AcmeIssuerConfig) and issuer.root_file is None:
            try:
                system_trust()
            except NoTrustStore as error:
                better = "the package ca-certificates (Debian), or the root of a CA of your own"
                yield keeping.loaded.file.warning(("issuer", name, "root_file"), f"none, and {error}", better)


def _name_problems(
    file: ConfigFile, identity: str, names: Sequence[str], issuer: str, permitted: Sequence[str]
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if not is_permitted(name, permitted):
            allowed = f"a name that issuer.{issuer}.names permits: {', '.join(permitted)}"
            yield file.error(("identity", identity, "names", index), f'"{name}"', allowed)
