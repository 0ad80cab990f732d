"""`plexigate backup create|verify|list|schedule|key`: encrypted backups of all state."""

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.commands.backup import restore
from proxy.commands.backup.errors import said_errors
from proxy.commands.backup.progress import progress
from proxy.commands.backup.tables import backup_document, backup_table, created_text, verified_text
from proxy.commands.hsm.recording import now, recorded
from proxy.commands.hsm.sources import NotChosen
from proxy.commands.terminal.answers import answer
from proxy.commands.terminal.asking import JsonOption, ended, served_file
from proxy.commands.terminal.help_text import WholeSentences
from proxy.commands.terminal.output_file import write_for_person

if TYPE_CHECKING:
    from certs.audit.entries import Told
    from certs.backup.creating import Creation
    from certs.backup.kept import BackupOwner, KeptBackup
    from config.loading.loaded import LoadedConfig

app = typer.Typer(
    name="backup",
    cls=WholeSentences,
    help="Make, verify, list and restore encrypted backups of all state.",
    no_args_is_help=True,
)

_UNREADABLE: Final = 2  # the same as for a wrong option
_TIMER: Final = "plexigate-backup.timer"

Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Configuration. Default: that of the running proxy.")]
Backup = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@app.command(epilog="Example: plexigate backup create /media/safe/plexigate.pxbackup --config plexigate.toml")
def create(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The new backup. Default: a new name in backup.directory."),
    ] = None,
    config: Config = None,
    to: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A public key that can open the backup too, as backup key writes it. Repeat the option for more.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a backup of the configuration and of all state: keys that may leave
    this machine, payload rings, ACME accounts, certificates and their history,
    the audit log.

    The recovery shares of the sealing key open it, and the private keys of
    backup.recipients and --to. It has no keys of tokens and no PINs: the
    manifest lists them. The proxy may run meanwhile, also during a rotation.
    The new backup is read again and verified before it gets its name.

    Without FILE, the newest backup there is verified first; if it is damaged, its
    name gets the ending .damaged, and the command exits with 1 after it has made
    the new one. Backups of this configuration beyond backup.keep are removed
    afterwards, the oldest first.
    """
    with said_errors():
        loaded = _loaded(config)
        place, damaged = _place(loaded, file)
        if place.exists():
            raise NotChosen(f"{place} is there already; allowed: a new file")
        with recorded(loaded.file.path) as record:
            creation = _creation(loaded, to or [], record)
            with record.operation("export", f"backup {place}"):
                made = _written(creation, place)
        removed = [] if file is not None else _removed_beyond(loaded, place.parent)
    document = backup_document(made)
    document |= {"removed": [str(one) for one in removed], "damaged": [str(one) for one in damaged]}
    answer(document, lambda: created_text(made, removed), as_json=as_json)
    if damaged:
        names = ", ".join(map(str, damaged))
        raise ended(f"these backups were damaged after they were made: {names}; check the disk, and their copies")


@app.command(epilog="Example: plexigate backup verify /media/safe/plexigate.pxbackup && echo whole")
def verify(
    file: Backup,
    signer: restore.Signer = None,
    as_json: JsonOption = False,
) -> None:
    """Find each byte of a backup that is not as it was written. Needs no secret.

    Exits with 0 when the backup is whole, with 1 when it is not or has another
    signer than --signer, with 2 when it cannot be read.
    """
    from certs.backup.container import BackupDamaged
    from certs.backup.kept import KeptBackup
    from certs.backup.opened import OpenBackup

    try:
        with OpenBackup.at(file) as backup:
            found = KeptBackup.of(file, backup)
            manifest = backup.manifest
            with progress("verifying", manifest.written.body_bytes) as told:
                backup.verify(told)
    except BackupDamaged as error:
        raise ended(f"{file}: {error}") from None
    except OSError as error:
        raise ended(f'"{file}": {error.strerror or error}', _UNREADABLE) from None
    if (other := restore.other_signer(manifest, signer)) is not None:
        raise ended(f"{file}: {other}")
    answer(backup_document(found), lambda: verified_text(found), as_json=as_json)


@app.command("list", epilog="Example: plexigate backup list /media/safe --json | jq '.[0].made_at'")
def list_backups(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIRECTORY", help="Where they are. Default: backup.directory.")
    ] = None,
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """List the backups in a directory, the newest first, by their manifests.

    Exits with 1 if a file there is no backup or has a damaged manifest. The
    rest of a backup is only read by backup verify.
    """
    from certs.backup.kept import NoBackup, backups_in

    with said_errors():
        found = backups_in(directory or _directory(_loaded(config)))
    documents = [
        {"file": str(one.path), "fault": one.fault} if isinstance(one, NoBackup) else backup_document(one)
        for one in found
    ]
    answer(documents, lambda: backup_table(found, now()) if found else "There is no backup.", as_json=as_json)
    if any(isinstance(one, NoBackup) for one in found):
        raise typer.Exit(1)


@app.command(epilog="Example: plexigate backup schedule --config /etc/plexigate/plexigate.toml")
def schedule(config: Config = None, as_json: JsonOption = False) -> None:
    """Show whether the timer of systemd makes backups, where, how many are kept,
    and how old the newest is that is whole: it is verified.

    Exits with 1 if it is older than backup.alert_after, or there is none.
    The package has the timer: systemctl enable --now plexigate-backup.timer.
    """
    from certs.backup.kept import damaged_in, newest_in
    from proxy.commands.backup.tables import schedule_text

    with said_errors():
        loaded = _loaded(config)
        settings = loaded.config.backup
        directory = _directory(loaded)
        owner = _owner(loaded)
        with progress("verifying", None) as told:
            damaged = damaged_in(directory, owner, told)
        newest = newest_in(directory, owner, but=damaged)
    age = None if newest is None else (now() - newest.made_at).total_seconds()
    is_late = age is None or age > settings.alert_after.total_seconds()
    document = {
        "timer": _timer_state(),
        "directory": str(directory),
        "keep": settings.keep,
        "newest": None if newest is None else newest.made_at.isoformat(),
        "age_seconds": age,
        "late": is_late,
        "damaged": [str(one) for one in damaged],
    }
    answer(document, lambda: schedule_text(document), as_json=as_json)
    if is_late:
        raise typer.Exit(1)


@app.command(epilog="Example: plexigate backup key safe.key > safe.pub")
def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Write the private key to this new file (mode 0600).")],
    is_quantum_safe: Annotated[
        bool, typer.Option("--quantum-safe", help="Make ML-KEM-1024 with P-384, not ML-KEM-768 with X25519.")
    ] = False,
) -> None:
    """Make a key that can open backups: the private key goes to FILE, the public
    key to standard output.

    Keep the private key off this machine. Give the public key to
    backup.recipients or to backup create --to.
    """
    from certs.sealing.recipients import PrivateRecipient, RecipientKem

    made = PrivateRecipient.generate(RecipientKem.MLKEM1024_P384 if is_quantum_safe else RecipientKem.MLKEM768_X25519)
    with said_errors():
        from certs.files.directory import OpenDirectory

        if file.is_file():
            raise NotChosen(f"{file} is there already; allowed: a new file")
        if sys.stdout is None:
            raise NotChosen("standard output is closed, so the public key would be lost; allowed: a file or a pipe")
        write_for_person(file, made.pem(), replaces=False)
        try:
            typer.echo(made.public.pem().decode(), nl=False)
            sys.stdout.flush()
        except BaseException:
            if file.is_file():
                with OpenDirectory.at(file.absolute().parent) as directory:
                    directory.remove(file.name)  # alone it is of no use: the public half is gone
            raise


restore.add_to(app)


def _creation(loaded: "LoadedConfig", to: Sequence[Path], told: "Told") -> "Creation":
    from certs.backup.configured import creation_of

    return creation_of(loaded, to, now, told, made_by=version("plexigate"), node=platform.node())


def _written(creation: "Creation", place: Path) -> "KeptBackup":
    """Write a backup beside its place, read it again, and rename it."""
    from certs.backup.kept import KeptBackup, unfinished_name
    from certs.backup.opened import OpenBackup
    from certs.files.directory import OpenDirectory
    from certs.files.file_lock import lock_within

    beside = unfinished_name(place.name)
    with OpenDirectory.at(place.absolute().parent) as directory:
        try:
            with progress("reading", None) as told, os.fdopen(directory.create_anew(beside), "wb") as out:
                with suppress(OSError):  # a file system without locks
                    lock_within(out.fileno(), 0.0)
                manifest = creation.write(out, told)
                out.flush()
                os.fsync(out.fileno())
            with (
                OpenBackup.at(place.parent / beside) as backup,
                progress("verifying", manifest.written.body_bytes) as read,
            ):
                backup.verify(read)
                made = KeptBackup.of(place, backup)
            directory.rename(beside, place.name)
        except BaseException as error:
            directory.remove(beside)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(place)  # a full disk, for example
            raise
        directory.sync()
    return made


def _place(loaded: "LoadedConfig", file: Path | None) -> tuple[Path, list[Path]]:
    """Where a backup goes, and the damaged ones there, which were set aside."""
    from certs.backup.kept import damaged_in, name_of, remove_unfinished, set_aside
    from certs.files.directory import make_directories

    if file is not None:
        return file, []
    directory = _directory(loaded)
    make_directories(directory)
    remove_unfinished(directory, platform.node())
    with progress("verifying the newest", None) as told:
        damaged = [set_aside(one) for one in damaged_in(directory, _owner(loaded), told)]
    return directory / name_of(platform.node(), now()), damaged


def _removed_beyond(loaded: "LoadedConfig", directory: Path) -> list[Path]:
    from certs.backup.kept import backups_in, remove_beyond

    return remove_beyond(loaded.config.backup.keep, backups_in(directory), _owner(loaded))


def _owner(loaded: "LoadedConfig") -> "BackupOwner":
    from certs.backup.kept import BackupOwner

    return BackupOwner(platform.node(), loaded.file.path)


def _loaded(config: Path | None) -> "LoadedConfig":
    from config.loading.loader import survey
    from config.values.problems import ConfigError

    found = survey(config or served_file())
    if found.loaded is None:
        raise ConfigError(found.problems)
    return found.loaded


def _directory(loaded: "LoadedConfig") -> Path:
    written = loaded.config.backup.directory
    if written is None:
        raise ended(f"{loaded.file.path}: backup.directory: found nothing; allowed: a directory, or name the file")
    return loaded.file.resolve(written)


def _timer_state() -> str:
    """What systemd says of the timer of the package."""
    import subprocess

    try:
        asked = subprocess.run(  # noqa: S603 - of the system
            ["systemctl", "is-enabled", _TIMER],  # noqa: S607 - wherever it is
            capture_output=True, text=True, check=False, timeout=10.0,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "no systemd"
    return asked.stdout.strip() or "not installed"
