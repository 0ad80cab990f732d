"""What the commands for backups show."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from certs.backup.index import LeftOut
from certs.backup.kept import KeptBackup, NoBackup
from certs.backup.keys import signer_id
from certs.backup.manifest import Manifest
from certs.sealing.sealing_key import named_version
from config.values.problems import printable
from proxy.commands.terminal.tables import plain_table
from proxy.observe.alert import span

_SHOWN: Final = 8
_CHECK_DIGITS: Final = 16


def backup_document(backup: KeptBackup) -> dict[str, Any]:
    manifest = backup.manifest
    return {
        "file": str(backup.path),
        "size": backup.size,
        "made_at": manifest.made_at.isoformat(),
        "made_by": manifest.made_by,
        "node": manifest.node,
        "configuration": manifest.configuration,
        "files": manifest.files,
        "content_bytes": manifest.size,
        "credentials": manifest.credentials,
        "formats": dict(manifest.formats),
        "recipients": dict(manifest.recipients),
        "sealing_keys": [{"id": one.hex(), "version": named_version(one)} for one in backup.sealing_keys],
        "left_out": left_out_document(manifest.left_out),
        "signer": signer_id(manifest.signer),
        "sha384": manifest.written.body_digest,
    }


def created_text(backup: KeptBackup, removed: Sequence[Path]) -> str:
    manifest = backup.manifest
    lines = [
        f"{backup.path} has {_content(manifest)}.",
        *_opened_by(backup),
        f"Signer: {signer_id(manifest.signer)}. It is not secret; keep it with the shares.",
        *left_out_lines(manifest.left_out),
    ]
    if removed:
        lines.append(f"Removed {len(removed)} of the oldest backups.")
    return "\n".join(lines)


def verified_text(backup: KeptBackup) -> str:
    manifest = backup.manifest
    return "\n".join(
        (
            f"{backup.path} is whole: {_content(manifest)}, made at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC on "
            f"{printable(manifest.node)} by Plexigate {printable(manifest.made_by)}.",
            *_opened_by(backup),
            f"Signer: {signer_id(manifest.signer)}",
            *left_out_lines(manifest.left_out),
        )
    )


def left_out_document(left_out: Sequence[LeftOut]) -> list[dict[str, str]]:
    return [{"what": one.what, "remedy": one.remedy} for one in left_out]


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """What is not in a backup, with what to do: not each of hundreds of keys."""
    more = [f"  and {len(left_out) - _SHOWN} more (--json)"] if len(left_out) > _SHOWN else []
    lines = [f"  {printable(one.what)}: {printable(one.remedy)}" for one in left_out[:_SHOWN]]
    return ["Not in it:", *lines, *more] if lines else []


def backup_table(backups: Sequence[KeptBackup | NoBackup], now: datetime) -> RenderableType:
    table = plain_table("backup", "made", "age", "node", "version", "sealing key", ">files", ">size")
    for one in backups:
        if isinstance(one, NoBackup):
            table.add_row(Text(printable(one.path.name)), Text(one.fault, style="red"))
            continue
        manifest = one.manifest
        table.add_row(
            Text(printable(one.path.name)),
            Text(f"{manifest.made_at:%Y-%m-%d %H:%M} UTC"),
            span((now - manifest.made_at).total_seconds()),
            Text(printable(manifest.node)),
            Text(printable(manifest.made_by)),
            ", ".join(map(_sealing_key, one.sealing_keys)),
            f"{manifest.files:,}",
            f"{one.size:,}",
        )
    return table


def schedule_text(document: dict[str, Any]) -> str:
    age = document["age_seconds"]
    newest = "There is no whole backup of this configuration." if age is None else f"The newest is {span(age)} old."
    late = " That is too old." if document["late"] and age is not None else ""
    damaged = f" Newer, but damaged: {', '.join(document['damaged'])}." if document["damaged"] else ""
    return (
        f"Timer: {document['timer']}. {document['directory']} keeps {document['keep']} backups. {newest}{late}{damaged}"
    )


def _content(manifest: Manifest) -> str:
    credentials = "1 credential" if manifest.credentials == 1 else f"{manifest.credentials:,} credentials"
    return f"{manifest.files:,} files ({manifest.size:,} bytes) with {credentials}"


def _opened_by(backup: KeptBackup) -> list[str]:
    recipients = ", ".join(printable(f"{key} ({kem})") for key, kem in backup.manifest.recipients.items())
    keys = " or ".join(map(_sealing_key, backup.sealing_keys))
    return [
        f"It is encrypted to {recipients}.",
        f"The sealing key {keys} opens it." if keys else "No sealing key opens it.",
    ]


def _sealing_key(key_id: bytes) -> str:
    """The version of one in a token; of one in a file, what `hsm init` called its check value."""
    version = named_version(key_id)
    return key_id.hex()[:_CHECK_DIGITS] if version is None else f"v{version}"
