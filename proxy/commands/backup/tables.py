"""What the commands for backups show."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from certs.backup.index import LeftOut
from certs.backup.kept import KeptBackup
from certs.backup.keys import signer_id
from certs.backup.manifest import Manifest
from config.values.problems import printable
from proxy.commands.terminal.tables import plain_table
from proxy.observe.alert import span

_SHOWN = 8


def backup_document(path: Path, size: int, manifest: Manifest) -> dict[str, Any]:
    return {
        "file": str(path),
        "size": size,
        "made_at": manifest.made_at.isoformat(),
        "made_by": manifest.made_by,
        "node": manifest.node,
        "configuration": manifest.configuration,
        "files": manifest.files,
        "content_bytes": manifest.size,
        "credentials": manifest.credentials,
        "formats": dict(manifest.formats),
        "recipients": dict(manifest.recipients),
        "left_out": left_out_document(manifest.left_out),
        "signer": signer_id(manifest.signer),
        "sha384": manifest.written.body_digest,
    }


def created_text(path: Path, manifest: Manifest, removed: Sequence[Path]) -> str:
    lines = [
        f"{path} has {_content(manifest)}.",
        f"It is encrypted to {_recipients(manifest)}.",
        f"Signer: {signer_id(manifest.signer)}. It is not secret; keep it with the shares.",
        *left_out_lines(manifest.left_out),
    ]
    if removed:
        lines.append(f"Removed {len(removed)} of the oldest backups.")
    return "\n".join(lines)


def verified_text(path: Path, manifest: Manifest) -> str:
    return "\n".join(
        (
            f"{path} is whole: {_content(manifest)}, made at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC on {printable(manifest.node)} by "
            f"Plexigate {printable(manifest.made_by)}.",
            f"It is encrypted to {_recipients(manifest)}.",
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


def backup_table(backups: Sequence[KeptBackup], now: datetime) -> RenderableType:
    table = plain_table("backup", "made", "age", "node", "version", ">files", ">size")
    for one in backups:
        if (manifest := one.manifest) is None:
            table.add_row(Text(printable(one.path.name)), Text(one.fault, style="red"))
            continue
        table.add_row(
            Text(printable(one.path.name)),
            Text(f"{manifest.made_at:%Y-%m-%d %H:%M} UTC"),
            span((now - manifest.made_at).total_seconds()),
            Text(printable(manifest.node)),
            Text(printable(manifest.made_by)),
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


def _recipients(manifest: Manifest) -> str:
    return ", ".join(printable(f"{key} ({kem})") for key, kem in manifest.recipients.items())
