"""`plexigate hsm seal` and `plexigate hsm keys`: sealed private keys, and the keys below the
sealing key.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.commands.hsm.recording import Recorder, recorded
from proxy.commands.hsm.sources import AsJson, NotChosen, said_errors
from proxy.commands.terminal.asking import ended

if TYPE_CHECKING:
    from certs.hierarchy.hierarchy import Hierarchy
    from certs.hierarchy.vault import Vault
    from config.loading.loaded import LoadedConfig

_HOW_TO_FREE = (
    "Stop the proxy, run plexigate hsm keys --reseal (without rotation.state it reseals only private keys), then try "
    "again. The running proxy replaces ticket keys and payload keyrings on schedule. Delete files that are not needed "
    "any more."
)

_Config = Annotated[Path, typer.Option(metavar="FILE", help="Configuration with [sealing].")]


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
            write_sealed(file, pem, KEY_LABEL, _vault(config, record).sealer(Purpose.CREDENTIAL_KEY))
    if request:
        typer.echo(request, nl=False)
    else:
        typer.echo(
            f"{file} is {source}, sealed. Try it (plexigate check), then destroy the original: shred -u {source}"
        )


def keys(
    config: _Config,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Seal with new keys from now on; the old ones still open files.")
    ] = False,
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
    """Show the keys below the sealing key: purpose, state, dates and number of
    uses.

    --destroy refuses a version that a file still needs. It looks at the files
    that the configuration names and at those in the state directories. Stop the
    proxy and use --reseal first: it seals these files with the active version.
    Without rotation.state, --reseal handles only private keys.
    """
    if [rotate, reseal, destroy is not None].count(True) > 1:
        raise typer.BadParameter("found several; allowed: one of --rotate, --reseal and --destroy VERSION")
    with said_sealing_errors(), said_errors(), recorded(config) as record:
        vault = _vault(config, record)
        if rotate:
            found = vault.rotate()
        elif reseal:
            _reseal(_whole(config), vault, record)
            found = vault.read()
        elif destroy is not None:
            found = _destroyed(_whole(config), vault, destroy, record, is_sure=is_sure)
        else:
            found = vault.read()
    from certs.hierarchy.document import as_json as described
    from proxy.commands.hsm.tables import hierarchy_table
    from proxy.commands.terminal.answers import answer

    listed = list(found.keys.values())
    answer([{"id": key.id, **described(key)} for key in listed], lambda: hierarchy_table(listed), as_json=as_json)


def _vault(config: Path, record: Recorder) -> "Vault":
    from certs.hierarchy.configured import vault_of
    from config.loading.loader import survey
    from config.values.problems import ConfigError

    found = survey(config)
    try:
        vault = None if found.loaded is None else vault_of(found.loaded, _now, record)
    except ConfigError as error:
        raise NotChosen("; ".join(map(str, error.problems))) from None
    if vault is None:
        raise NotChosen(
            f"{config}: sealing.key: found nothing; allowed: [sealing] with the key that plexigate hsm init made"
        )
    return vault


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


def _destroyed(loaded: "LoadedConfig", vault: "Vault", version: int, record: Recorder, *, is_sure: bool) -> "Hierarchy":
    """Destroy a version that no file needs, and return the remaining keys. Raises `NotChosen`."""
    from certs.hierarchy.vault import VersionRefused

    with record.operation("destroy", f"keys of version {version}"):
        try:
            _refuse_needed(loaded, vault, version)
            if not is_sure:
                if not typer.confirm(
                    f"Destroy version {version}? Other data that it sealed is lost. This cannot be undone.", err=True
                ):
                    raise NotChosen("nothing was destroyed")
                _refuse_needed(loaded, vault, version)  # again: time has passed until the answer
            return vault.destroy(version)
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


def _refuse_needed(loaded: "LoadedConfig", vault: "Vault", version: int) -> None:
    from certs.hierarchy.configured import files_of

    ids = vault.key_ids(version)
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


@contextmanager
def said_sealing_errors() -> Iterator[None]:
    """Print an error as one sentence on standard error, and exit with 1."""
    from certs.hierarchy.vault import NoKeys
    from certs.sealing.errors import SealingError
    from certs.sealing.files import SealedFileUnusable

    try:
        yield
    except SealedFileUnusable as error:
        raise ended(str(error)) from None
    except NoKeys as error:
        raise ended(error.why) from None
    except SealingError as error:
        raise ended(f"this {error.reason}") from None


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a driver
