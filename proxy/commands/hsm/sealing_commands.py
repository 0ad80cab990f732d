"""`plexigate hsm seal` and `plexigate hsm keys`: sealed private keys, and the keys below the
sealing key.
"""

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.commands.hsm.recording import Recorder, recorded
from proxy.commands.hsm.sources import AsJson, NotChosen, said_errors
from proxy.commands.hsm.vault import configured_vault, said_sealing_errors

if TYPE_CHECKING:
    from certs.hierarchy.document import Document
    from certs.hierarchy.vault import Vault
    from config.loading.loaded import LoadedConfig
    from proxy.commands.hsm.tables import HierarchyRow

_HOW_TO_FREE = (
    "A running proxy seals them again by itself. If it is stopped, run plexigate hsm keys --reseal (without "
    "rotation.state it reseals only private keys), then try again. Delete files that are not needed any more."
)

_RECOVERY = {
    True: ", unless its recovery shares bring it back",
    False: ": it has no recovery shares",
    None: ", unless its recovery shares bring it back, if there are some",
}

_Config = Annotated[Path, typer.Option(metavar="FILE", help="Configuration with [sealing].")]


class KeyPurposeName(StrEnum):
    """What a key below the sealing key is for, as `--purpose` takes it."""

    TICKETS = "tickets"
    CREDENTIALS = "credentials"
    PAYLOAD = "payload"
    ACME = "acme"
    BACKUP = "backup"
    FLEET = "fleet"


class SealedKind(StrEnum):
    """The kinds of key that `--make` makes."""

    MLDSA_44 = "mldsa-44"
    MLDSA_65 = "mldsa-65"
    MLDSA_87 = "mldsa-87"
    ECDSA_P256 = "ecdsa-p256"


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Example: plexigate hsm seal chat-mldsa.sealed --make mldsa-65 --name chat.example.org --config plexigate.toml > chat.csr"
    )(seal)
    app.command(epilog="Example: plexigate hsm keys --config plexigate.toml --json | jq .")(keys)


def seal(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Write the sealed key to this new file.")],
    config: _Config,
    source: Annotated[Path | None, typer.Option("--from", metavar="PEM", help="Seal this private key.")] = None,
    make: Annotated[SealedKind | None, typer.Option(help="Make a new key of this kind and seal it.")] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="With --make: name in the certificate request. Repeat the option for more names.",
        ),
    ] = None,
) -> None:
    """Seal a private key: encrypt it so that only the sealing key of the
    configuration opens it.

    Name the sealed file in a credential: `key = "FILE"`. With --from a PEM file
    is sealed; destroy the original afterwards (shred -u). With --make a new key
    is made. It is never on disk in the clear. Standard output gets a certificate
    request for its names.
    """
    from certs.audit.entries import Action
    from certs.hierarchy.configured import KEY_LABEL
    from certs.sealing.envelope import Purpose
    from certs.sealing.files import write_sealed

    with said_sealing_errors(), said_errors(), recorded(config) as record:
        if (source is None) == (make is None):
            found = "neither" if source is None else "both"
            raise NotChosen(f"found {found}; allowed: one of --from PEM and --make {'|'.join(SealedKind)}")
        if file.exists():
            raise NotChosen(f"{file} is there already; allowed: a new file")
        pem, request = _given(source) if source is not None else _made(make, names or [])
        action = Action.IMPORT if source is not None else Action.GENERATE
        with record.operation(action, str(file)):
            write_sealed(file, pem, KEY_LABEL, configured_vault(config, record).sealer(Purpose.CREDENTIAL_KEY))
    if request:
        typer.echo(request, nl=False)
    else:
        typer.echo(
            f"{file} is {source}, sealed. Try it (plexigate check), then destroy the original: shred -u {source}"
        )


def keys(  # noqa: PLR0913 - the options of a command
    config: _Config,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Seal with new keys from now on; the old ones still open files.")
    ] = False,
    purpose: Annotated[
        KeyPurposeName | None, typer.Option(help="With --rotate and --destroy: the keys of this purpose alone.")
    ] = None,
    destroy: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="Destroy a retired version; data that only it can open is lost."),
    ] = None,
    reseal: Annotated[
        bool, typer.Option("--reseal", help="Seal the files of retired keys again, with the active keys.")
    ] = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask before a version is destroyed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the sealing key and the keys below it: state, dates, number of uses,
    what each protects, in how many files, and what its loss means.

    The running proxy rotates these keys (sealing.rotate_after), seals files of
    retired keys again, and destroys keys that no file needs. --destroy refuses a
    version that a file still needs. It looks at the files that the configuration
    names and at those in the state directories. If the proxy is stopped, --reseal
    seals these files with the active version. Without rotation.state, --reseal
    handles only private keys.
    """
    if [rotate, reseal, destroy is not None].count(True) > 1:
        raise typer.BadParameter("found several; allowed: one of --rotate, --reseal and --destroy VERSION")
    with said_sealing_errors(), said_errors(), recorded(config) as record:
        vault = configured_vault(config, record)
        if rotate:
            vault.rotate(*([] if purpose is None else [[purpose.value]]))
        elif reseal:
            _reseal(_whole(config), vault, record)
        elif destroy is not None:
            with record.operation("destroy", f"keys of version {destroy}"):
                _destroy(_whole(config), vault, destroy, purpose, is_sure=is_sure)
        rows = _rows(vault.read(), _files_by_key(config, vault))
    from proxy.commands.hsm.tables import hierarchy_table
    from proxy.commands.terminal.answers import answer

    answer(rows, lambda: hierarchy_table(rows), as_json=as_json)


def _whole(config: Path) -> "LoadedConfig":
    """A configuration without errors, which could hide a key that is needed. Raises `NotChosen`."""
    from config.loading.loader import load
    from config.values.problems import ConfigError

    try:
        return load(config)
    except ConfigError as error:
        first = next(problem for problem in error.problems if problem.is_error)
        raise NotChosen(
            f"{config} has errors, so it is unknown which keys it needs; correct them first (plexigate check): {first}"
        ) from None


def _files_by_key(config: Path, vault: "Vault") -> dict[str, list[str]] | None:
    """The paths of the files that each key has sealed, by its id; None if one cannot be read."""
    from certs.hierarchy.configured import files_of
    from config.loading.loader import survey

    names = vault.names_in_envelopes()
    found: dict[str, list[str]] = {}
    loaded = survey(config).loaded
    try:
        files = [] if loaded is None else files_of(loaded)
    except OSError:
        return None
    for one in files:
        if (key := names.get(one.key_id)) is not None:
            found.setdefault(key.id, []).append(str(one.path))
    return found


def _rows(document: "Document", files: Mapping[str, list[str]] | None) -> "list[HierarchyRow]":
    from certs.hierarchy.document import as_json as described
    from certs.hierarchy.purposes import PURPOSES

    purposes = {one.name: one for one in PURPOSES.values()}
    rows: list[HierarchyRow] = [
        {
            "id": one.name,
            "purpose": "sealing key",
            "state": "active" if one.until is None else "retired",
            "created": None if one.since is None else one.since.isoformat(),
            "until": None if one.until is None else one.until.isoformat(),
            "protects": "all keys below it",
            "if_lost": (
                "nothing that is sealed opens again" if one.until is None else "backups from its time do not open"
            )
            + _RECOVERY[one.has_shares],
            "files": ["keys.sealed"],
        }
        for one in document.sealing_keys
    ]
    for key in document.hierarchy.keys.values():
        of = purposes[key.purpose]
        rows.append(
            {
                "id": key.id,
                **described(key),
                "until": None,
                "protects": of.protects,
                "if_lost": of.if_lost,
                "files": None if files is None else files.get(key.id, []),
            }
        )
    return rows


def _destroy(
    loaded: "LoadedConfig", vault: "Vault", version: int, purpose: KeyPurposeName | None, *, is_sure: bool
) -> None:
    """Destroy a version that no file needs. Raises `NotChosen`."""
    from certs.hierarchy.vault import VersionRefused, retired

    try:
        meant = [key.id for key in retired(vault.read().hierarchy, version, purpose)]
        _refuse_needed(loaded, vault, version, meant)
        if not is_sure:
            what = f"version {version}" if purpose is None else f"version {version} of {purpose}"
            if not typer.confirm(
                f"Destroy {what}? Other data that it sealed is lost. This cannot be undone.", err=True
            ):
                raise NotChosen("nothing was destroyed")
            _refuse_needed(loaded, vault, version, meant)  # again: time has passed until the answer
        vault.destroy(meant)
    except VersionRefused as error:
        raise NotChosen(str(error)) from None


def _reseal(loaded: "LoadedConfig", vault: "Vault", record: Recorder) -> None:
    """Seal again what retired keys sealed. Raises `NotChosen` and the errors that
    `said_sealing_errors` prints.
    """
    from certs.hierarchy.configured import files_of
    from certs.hierarchy.resealing import NotOurs, reseal
    from certs.sealing.envelope import Purpose
    from certs.storage.lock import StateInUse, StateLock

    state = loaded.config.rotation.state
    directory = None if state is None else loaded.file.resolve(state)
    is_alone = directory is not None and directory.is_dir()
    try:
        with StateLock.acquire(directory) if directory is not None and is_alone else nullcontext():
            for one in files_of(loaded):
                # without the lock only private keys: a running proxy could replace other files
                # meanwhile
                if (is_alone or one.label.startswith(Purpose.CREDENTIAL_KEY.label(""))) and reseal(vault, one):
                    record("seal", str(one.path), "done", "again, with the active key")
                    typer.echo(f"{one} is sealed with the active key.", err=True)
    except NotOurs as error:
        raise NotChosen(str(error)) from None
    except StateInUse as error:
        raise NotChosen(f'"{error.path}" is in use; stop the proxy before --reseal') from None


def _refuse_needed(loaded: "LoadedConfig", vault: "Vault", version: int, meant: Collection[str]) -> None:
    from certs.hierarchy.configured import files_of

    ids = {key_id for key_id, key in vault.names_in_envelopes().items() if key.id in meant}
    needed = [one for one in files_of(loaded) if one.key_id in ids]
    if needed:
        found = f"version {version}: found files that only this version opens; allowed: a version that no file needs:"
        raise NotChosen(found, *(f"  {one}" for one in needed), _HOW_TO_FREE)


def _given(path: Path) -> tuple[bytes, str]:
    from certs.files.errors import CredentialError, Part
    from certs.files.pem import read_pem
    from certs.keys.software import SoftwareKey

    try:
        SoftwareKey.load(path)
        return read_pem(path, Part.KEY).content, ""
    except CredentialError as error:
        raise NotChosen(f'"{path}", {error.found}; allowed: {error.allowed}') from None


def _made(kind: SealedKind | None, names: list[str]) -> tuple[bytes, str]:
    """A new key in PEM, and a certificate request for it."""
    from certs.issuing.signing_request import request_without_subject
    from certs.keys.generating import digest_for, generate, private_pem
    from certs.keys.signing_key import KeyAlgorithm, KeyFamily
    from proxy.commands.hsm.request import subjects_of

    subjects = subjects_of(names)
    family, _, size = (kind or SealedKind.ECDSA_P256).rpartition("-")
    is_mldsa = family == "mldsa"
    key = generate(KeyAlgorithm(KeyFamily.MLDSA, int(size)) if is_mldsa else KeyAlgorithm(KeyFamily.ECDSA, 256))
    return private_pem(key), request_without_subject(subjects, key, digest_for(key))
