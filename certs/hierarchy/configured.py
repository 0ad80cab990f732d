"""The vault of a configuration, and what it opens of that: sealed private keys."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from certs.audit.entries import Told
from certs.hierarchy.sealed_files import SealedFile, sealed_files
from certs.hierarchy.vault import Vault
from certs.hsm.access import state_directory
from certs.sealing.envelope import Purpose, is_sealed
from certs.sealing.errors import KeyAway, SealingError
from certs.sealing.key_file import KeyFileUnusable, load_key
from certs.sealing.master import Master, place_of
from certs.sealing.own_key import OWN_KEY_FILE
from certs.sealing.sealer import Sealer
from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.reading import read_regular
from config.schema import CredentialConfig, IdentityConfig
from config.tables.sealing import SealingConfig
from config.tables.upstream import UpstreamConfig
from config.values.problems import ConfigError, Location, Problem, shown

KEY_LABEL = Purpose.CREDENTIAL_KEY.label("private key")
"""Of every sealed private key: which one it is, its certificate tells."""

_LARGEST_FILE = 1_048_576  # bytes, as of PEM files


def directory_of(file: ConfigFile, sealing: SealingConfig) -> Path:
    return state_directory() if sealing.directory is None else file.resolve(sealing.directory)


def vault_of(loaded: LoadedConfig, clock: Callable[[], datetime], told: Told) -> Vault | None:
    """What seals by a configuration, or None. Raises `ConfigError` without the token's PIN."""
    place = place_of(loaded.file, loaded.config.sealing, loaded.config.hsm)
    if place is None:
        return None
    directory = directory_of(loaded.file, loaded.config.sealing)
    return Vault(Master(place), directory, clock, told, lambda: _sealed_below(loaded))


def files_of(loaded: LoadedConfig) -> list[SealedFile]:
    """Every sealed file that a configuration knows: keys that it names, and sealed files in its
    state directories.

    Raises `OSError` for a key that cannot be read.
    """
    keys = (loaded.file.resolve(written) for _, written in _key_files(loaded.config.identity, loaded.config.upstream))
    return sealed_files(keys, directories_of(loaded))


def directories_of(loaded: LoadedConfig) -> list[Path]:
    """Where the state of a configuration is: the directory of `[sealing]`, and those beside it."""
    written = (loaded.config.rotation.state, loaded.config.payload.directory)
    others = [loaded.file.resolve(one) for one in written if one is not None]
    return [directory_of(loaded.file, loaded.config.sealing), *others]


def _sealed_below(loaded: LoadedConfig) -> list[SealedFile]:
    """Those that keys below a sealing key have sealed, and not what seals without `[sealing]`."""
    sealing, *others = directories_of(loaded)
    own = {*_own_key_ids((sealing, sealing / "payload", *others))}
    hierarchy = Purpose.KEY_HIERARCHY.label("")
    return [one for one in files_of(loaded) if one.key_id not in own and not one.label.startswith(hierarchy)]


def _own_key_ids(places: Iterable[Path]) -> Iterator[bytes]:
    for place in places:
        with suppress(KeyFileUnusable):
            yield load_key(place / OWN_KEY_FILE).key_id


def key_in_file_warnings(file: ConfigFile, sealing: SealingConfig) -> tuple[Problem, ...]:
    """What the owner of a sealing key should know that is a file."""
    key = sealing.key
    if not isinstance(key, str):
        return ()
    found = f"{shown(key)}, a file: it protects only backups that do not contain it; a user who can read the files of this machine can use it"
    return (file.warning(("sealing", "key"), found, 'a key in a token: "pkcs11:token=...;object=sealing.aes-256.v1"'),)


def opened_keys(loaded: LoadedConfig, vault: Vault | None) -> dict[Path, bytes]:
    """The content of each sealed private key, by its path.

    Raises `ConfigError` with every one that does not open.

    May take as long as the token of the sealing key takes. Files that cannot be read are left to
    those who judge keys; and so are keys of identities while the token of the sealing key is
    unavailable. Without them an upstream would not recognise the proxy.
    """
    opened: dict[Path, bytes] = {}
    problems: list[Problem] = []
    sealer = None if vault is None else vault.sealer(Purpose.CREDENTIAL_KEY)
    for place, written in _key_files(loaded.config.identity, loaded.config.upstream):
        path = loaded.file.resolve(written)
        sealed = _read(path)
        if sealed is None:
            continue
        try:
            opened[path] = _opened(sealed, sealer)
        except SealingError as error:
            if place[0] == "identity" and isinstance(error, KeyAway):
                continue
            found = f"{shown(written)}, which {error.reason}"
            problems.append(
                loaded.file.error(
                    place, found, "a key sealed by the sealing key of this configuration (plexigate hsm seal)"
                )
            )
    if problems:
        raise ConfigError(problems)
    return opened


class _NoKey(SealingError):
    """There is no `[sealing]`."""

    def __init__(self) -> None:
        super().__init__("is sealed, while [sealing] has no key")


def _opened(sealed: bytes, sealer: Sealer | None) -> bytes:
    if sealer is None:
        raise _NoKey
    return sealer.open(sealed, KEY_LABEL)


def _read(path: Path) -> bytes | None:
    try:
        content = read_regular(path, _LARGEST_FILE).content
    except OSError:
        return None
    return content if is_sealed(content) else None


def _key_files(
    identities: Mapping[str, IdentityConfig], upstreams: Mapping[str, UpstreamConfig]
) -> Iterator[tuple[Location, str]]:
    for name, settings in identities.items():
        for index, credential in enumerate(settings.credentials):
            place = ("identity", name, "credential", index) if settings.credential else ("identity", name)
            if isinstance(credential, CredentialConfig):
                yield from (((*place, "key"), key) for key in credential.key if isinstance(key, str))
    for name, upstream in upstreams.items():
        if upstream.key is not None:
            yield ("upstream", name, "key"), upstream.key
