"""`plexigate audit verify`: whether the audit log of key operations is what was written."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from proxy.commands.terminal.asking import ended

if TYPE_CHECKING:
    from certs.audit.checkpoint import Checkpoint
    from certs.keys.signing_key import PublicKey

app = typer.Typer(
    name="audit",
    help="The audit log of key operations.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

_DAMAGED: Final = 1
_UNREADABLE: Final = 2  # the same as for a wrong option
_UNPROVEN: Final = 3
_UNPROVEN_TAIL: Final = 4
# Wide enough for every table where the output is no terminal.
_FILE_COLUMNS: Final = 160


@app.callback()
def _audit() -> None:
    """A group, so that `verify` keeps its name while it is alone in it."""


@app.command(
    epilog="Example: journalctl -t plexigate -o cat > known.txt && plexigate audit verify audit*.jsonl --public-key audit.pub --checkpoints known.txt"
)
def verify(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="All files of the log, in any order; .gz too.", show_default=False),
    ],
    public_keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--public-key",
            metavar="PEM",
            help="The public key that checkpoints must be signed with; again for a key that it has replaced.",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Checkpoints from outside the log: an export of the journal, in any text form. With --public-key only signed ones count.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        int,
        typer.Option(
            "--from", metavar="LINE", min=1, help="The lines before this one were deleted on purpose: do not miss them."
        ),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write the verdicts as JSON.")] = False,  # noqa: FBT002 - the signature of a typer command
) -> None:
    """Find every line that was removed, changed, reordered or duplicated, and a tail that was cut; say where.

    A line counts as proven if a checkpoint after it is signed by the key, or without --public-key is known from outside; whoever can write
    the file could have rewritten the others. A cut tail, and first files that are gone, are found only against checkpoints from outside.

    Exits with 0 when the log is intact and proven up to a checkpoint, with 1 when something was found, with 2 when a file cannot be read,
    with 3 when all is intact but nothing is proven, with 4 when all is intact but the checkpoints after the last proven line are not
    signed, or by another key: the signing key was away or replaced, or somebody without it has written the rest. A later checkpoint that
    is signed proves all lines before it.
    """
    # here: the other commands need nothing of this, and cryptography takes time to load
    from certs.audit.checkpoint import checkpoints_in
    from certs.audit.signatures import by_fingerprint
    from certs.audit.signing import load_public_key
    from certs.audit.verdict import Status
    from certs.audit.verification import verify as judge
    from certs.files.errors import CredentialError

    try:
        keys = by_fingerprint(map(load_public_key, public_keys or ()))
        known = () if checkpoints is None else checkpoints_in(_text_lines(checkpoints))
        groups = _logs(_once(files))
        judged = [(paths, judge(map(_source, paths), keys, known, since)) for paths in groups]
    except (_CannotRead, CredentialError) as error:
        raise ended(str(error), _UNREADABLE) from None
    lost = _logs_without_a_file(known, [verdict.log for _, verdict in judged], keys)
    if as_json:
        typer.echo(json.dumps([_as_json(paths, verdict) for paths, verdict in judged] + lost, indent=2))
    else:
        _show(judged, lost)
    found = {verdict.status for _, verdict in judged}
    if Status.DAMAGED in found or any(one["intact"] is False for one in lost):
        raise typer.Exit(_DAMAGED)
    if Status.UNPROVEN_TAIL in found:
        raise typer.Exit(_UNPROVEN_TAIL)
    if Status.UNPROVEN in found:
        raise typer.Exit(_UNPROVEN)


class _CannotRead(Exception):
    """A file that is no file, or that is damaged in its compression."""


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file for reading; what goes wrong with it also later names it, as gzip does not."""
    from certs.audit.tail import open_for_reading

    try:
        with open_for_reading(path) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _CannotRead(f"{path} cannot be read: {reason}") from None


def _once(files: Sequence[Path]) -> list[Path]:
    """Each file once, however it is named, also by a link: its lines would be there twice."""
    found: dict[Path, Path] = {}
    repeated: set[Path] = set()
    for path in files:
        first = found.setdefault(path.resolve(), path)
        if first is not path and first not in repeated:
            repeated.add(first)
            typer.echo(f"plexigate: {first} is named more than once, it is read once", err=True)
    return list(found.values())


def _logs(files: Sequence[Path]) -> list[list[Path]]:
    """The files of each log, in the order of their first lines. What begins with no line at all comes last, in one group."""
    from certs.audit.line import LARGEST_LINE, Line, NotALine

    begun: dict[str, list[tuple[int, Path]]] = {}
    for path in files:
        log, seq = "~", 0
        with _opened(path) as file:
            while raw := file.readline(LARGEST_LINE + 1):
                try:
                    line = Line.parse(raw.removesuffix(b"\n"))
                except NotALine:
                    continue
                log, seq = str(line.facts.get("log", "~")), line.seq
                break
        begun.setdefault(log, []).append((seq, path))
    if len(begun) == 2 and "~" in begun:
        # a file that lost its first line still belongs to the only log there is
        begun = {"": [entry for entries in begun.values() for entry in entries]}
    return [[path for _, path in sorted(begun[log])] for log in sorted(begun)]


def _source(path: Path) -> Any:
    from certs.audit.verification import LogSource

    return LogSource(str(path), _raw_lines(path))


def _raw_lines(path: Path) -> Iterator[bytes]:
    from certs.audit.line import LARGEST_LINE

    with _opened(path) as file:
        while raw := file.readline(LARGEST_LINE + 1):
            yield raw


def _text_lines(path: Path) -> Iterator[str]:
    with _opened(path) as file:
        yield from (raw.decode("utf-8", "replace") for raw in file)


def _logs_without_a_file(
    known: Sequence["Checkpoint"], logs: Sequence[str], keys: Mapping[str, "PublicKey"]
) -> list[dict[str, Any]]:
    """The logs that a checkpoint from outside tells of, and of which no file was given: they may have been deleted.

    Where there are keys and none of them signed one, `intact` is None: nobody knows whether there was such a log.
    """
    from certs.audit.verdict import Status

    lines: dict[str, tuple[bool, int]] = {}
    for checkpoint in known:
        if checkpoint.log not in logs:
            told = (not keys or checkpoint.is_proof(keys), checkpoint.count)
            lines[checkpoint.log] = max(told, lines.get(checkpoint.log, told))
    return [
        {
            "log": log,
            "files": [],
            "known_lines": count,
            "intact": False if is_proven else None,
            "status": (Status.DAMAGED if is_proven else Status.UNPROVEN).value,
        }
        for log, (is_proven, count) in lines.items()
    ]


def _as_json(paths: Sequence[Path], verdict: Any) -> dict[str, Any]:
    return {
        "log": verdict.log,
        "files": [str(path) for path in paths],
        "first": verdict.first,
        "last": verdict.last,
        "proven": verdict.proven,
        "unproven": verdict.unproven,
        "intact": verdict.is_intact,
        "status": verdict.status.value,
        "unproven_since": verdict.unproven_since and asdict(verdict.unproven_since),
        "findings": [asdict(finding) for finding in verdict.findings],
        "remarks": [asdict(remark) for remark in verdict.remarks],
    }


def _show(judged: Sequence[tuple[Sequence[Path], Any]], lost: Sequence[dict[str, Any]]) -> None:
    from proxy.commands.audit.table import lost_log, verdict_table
    from proxy.commands.terminal.console import table_console

    console = table_console(_FILE_COLUMNS)
    for paths, verdict in judged:
        console.print(verdict_table([str(path) for path in paths], verdict))
    for one in lost:
        console.print(lost_log(one["log"], one["known_lines"], is_proven=one["intact"] is False))
