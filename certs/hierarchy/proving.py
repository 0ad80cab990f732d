"""Whether the sealing key of a configuration opens the keys below it: proved by opening them.

`plexigate check`, a start and a reload ask here.
"""

from collections.abc import Iterator

from certs.hierarchy.file_sealer import is_quantum_safe
from certs.hierarchy.vault import Vault
from certs.sealing.errors import KeyAway, KeyUnavailable, NotSealed, OtherKey, PreviousKey, Tampered
from certs.sealing.key_file import KeyFileUnusable
from certs.sealing.sealing_key import named_version
from config.loading.loaded import LoadedConfig
from config.values.problems import Problem, shown


def sealing_key_problems(loaded: LoadedConfig, vault: Vault | None) -> Iterator[Problem]:
    """Errors that keep the sealing key from opening what is there. A start continues without a
    token that is unavailable, so that is a warning.

    May take as long as the token takes. What was opened already is not opened again.
    """
    place = ("sealing", "key")
    if vault is None:
        return
    named = shown(str(loaded.config.sealing.key))
    try:
        yield from _warnings(loaded, vault, named)
    except KeyUnavailable as error:
        if vault.exists and not isinstance(error, KeyAway):
            found = f"{named}, which does not open the keys below it: {error.why}"
            yield loaded.file.error(place, found, _opener(vault, error))
        else:
            found = f"{named}, a key that cannot be used: what is to be stored on disk {error.reason}"
            yield loaded.file.warning(place, found, "one that there is: plexigate hsm init makes it")


def _warnings(loaded: LoadedConfig, vault: Vault, named: str) -> Iterator[Problem]:
    """Open the keys, and warn of a key that will not open them for long, or is too weak. Raises
    `KeyUnavailable`.
    """
    document = vault.known()
    if document is None:
        vault.look()
        return
    if loaded.config.is_quantum_safe and not is_quantum_safe(vault.path.read_bytes()):
        found = (
            f'{named}, a key pair: a quantum computer opens each copy of "{vault.path}", and a listener is quantum-safe'
        )
        yield loaded.file.warning(("sealing", "key"), found, "a key of kind aes-256, in another token or in a file")
    newest, *previous = document.sealing_keys
    for one in previous:
        if one.until is not None and vault.is_by(one):
            found = f"{named}, which was replaced, and opens what is sealed until {one.until:%Y-%m-%d %H:%M} UTC"
            yield loaded.file.warning(("sealing", "key"), found, f"the key that took its place: {newest.name}")


def _opener(vault: Vault, error: KeyUnavailable) -> str:
    """What to do about a sealing key that does not open the keys below it."""
    match error.cause:
        case PreviousKey():
            return f"the key that took its place: {error.cause.newest}"
        case KeyFileUnusable(is_shut=True, allowed=allowed):
            return allowed
        case OtherKey() | KeyFileUnusable() | None:
            other = vault.namesake()
            if other is not None:
                return f"the key that does: {other}"
            return f"the key that does; {_recovery(vault)} brings it back from its shares"
        case Tampered():
            return (
                f'the key that sealed them: this one only has its name, or "{vault.path}" is damaged; {_recovery(vault)} '
                "brings a key back from its shares"
            )
        case _:
            return f'"{vault.path}" as Plexigate wrote it: restore it from a backup'


def _recovery(vault: Vault) -> str:
    """The command that brings the newest sealing key back, under its version."""
    try:
        version = named_version(vault.opening_ids[0])
    except (NotSealed, OSError):
        version = None
    return "plexigate hsm recover" + ("" if version is None else f" --key-version {version}")
