"""`plexigate audit verify`: checks the audit log of key operations for manipulation."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, TypedDict

import typer

from proxy.commands.terminal.asking import ended
from proxy.commands.terminal.help_text import WholeSentences

if TYPE_CHECKING:
    from certs.audit.checkpoint import Checkpoint
    from certs.audit.verdict import LogVerdict
    from certs.keys.signing_key import PublicKey

app = typer.Typer(
    name="audit",
    cls=WholeSentences,
    help="Verify the audit log of key operations.",
    no_args_is_help=True,
    add_completion=False,
)

_DAMAGED: Final = 1
_UNREADABLE: Final = 2  # the same as for a wrong option
_UNPROVEN: Final = 3
_UNPROVEN_TAIL: Final = 4


@app.callback()
def _audit() -> None:
    """Makes it a group: typer would drop the name of a command that is alone."""


@app.command(
    epilog="Example: journalctl -t plexigate -o cat > known.txt && plexigate audit verify audit*.jsonl --public-key audit.pub --checkpoints known.txt"
)
def verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="All files of the log, in any order, .gz included.")
    ],
    public_keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--public-key",
            metavar="PEM",
            help="Public key that verifies the checkpoints. Repeat the option for keys used earlier.",
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Checkpoints kept outside the log: an export of the journal, in any text format. With --public-key "
            "only signed ones count.",
        ),
    ] = None,
    since: Annotated[
        int,
        typer.Option(
            "--from",
            metavar="LINE",
            min=1,
            help="The lines before this one were deleted on purpose: do not report them as missing.",
        ),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write the verdicts as JSON.")] = False,
) -> None:
    """Find every line that was removed, changed, reordered or duplicated, and a
    missing end of the log.

    With --public-key, a checkpoint with a valid signature proves all lines before
    it. Without it, each checkpoint in the file of --checkpoints does.
    An attacker who can write the file could have rewritten unproven lines.
    Missing lines at the end, and missing first files, are found only with
    checkpoints kept outside the log.

    Exit status:
    0: the log is intact and proven up to a checkpoint.
    1: something is wrong.
    2: a file cannot be read.
    3: the log is intact, but no line is proven.
    4: the log is intact, but the checkpoints after the last proven line are
    unsigned or signed by another key. The signing key was unavailable or
    replaced, or an attacker without the key wrote these lines. A later checkpoint
    with a valid signature proves all lines before it.
    """
    # imported here: cryptography takes time to load, and the other commands do not need it
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
    """A file is missing, is not a regular file, or its compression is damaged."""


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; errors name the file, also those of gzip in the middle of it."""
    from certs.audit.tail import open_for_reading

    try:
        with open_for_reading(path) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _CannotRead(f"{path} cannot be read: {reason}") from None


def _once(files: Sequence[Path]) -> list[Path]:
    """Drop files that are named twice, also through a link: their lines would look duplicated."""
    found: dict[Path, Path] = {}
    repeated: set[Path] = set()
    for path in files:
        first = found.setdefault(path.resolve(), path)
        if first is not path and first not in repeated:
            repeated.add(first)
            typer.echo(f"plexigate: {first} is named more than once; it is read once", err=True)
    return list(found.values())


def _logs(files: Sequence[Path]) -> list[list[Path]]:
    """Group the files by log, in order of their first lines; those without a line come last."""
    from certs.audit.line import LARGEST_LINE, Line, NotALine

    begun: dict[str, list[tuple[int, Path]]] = {}
    for path in files:
        log = "~"
        seq = 0
        with _opened(path) as file:
            while raw := file.readline(LARGEST_LINE + 1):
                try:
                    line = Line.parse(raw.removesuffix(b"\n"))
                except NotALine:
                    continue
                log = str(line.facts.get("log", "~"))
                seq = line.seq
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


class _LostRow(TypedDict):
    log: str
    files: list[str]
    known_lines: int
    intact: bool | None
    status: str


class _VerdictRow(TypedDict):
    log: str
    files: list[str]
    first: int
    last: int
    proven: int
    unproven: int
    intact: bool
    status: str
    unproven_since: Mapping[str, object] | None
    """A `LinePlace`."""
    findings: list[Mapping[str, object]]
    """Each is a `LogFinding`."""
    remarks: list[Mapping[str, object]]


def _logs_without_a_file(
    known: Sequence["Checkpoint"], logs: Sequence[str], keys: Mapping[str, "PublicKey"]
) -> list[_LostRow]:
    """The logs that a known checkpoint names and of which no file was given: they may have been
    deleted.

    `intact` is None when keys are given and none of them signed a checkpoint: such a log may never
    have existed.
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


def _as_json(paths: Sequence[Path], verdict: "LogVerdict") -> _VerdictRow:
    return {
        "log": verdict.log,
        "files": [str(path) for path in paths],
        "first": verdict.first,
        "last": verdict.last,
        "proven": verdict.proven,
        "unproven": verdict.unproven,
        "intact": verdict.is_intact,
        "status": verdict.status.value,
        "unproven_since": None if verdict.unproven_since is None else asdict(verdict.unproven_since),
        "findings": [asdict(finding) for finding in verdict.findings],
        "remarks": [asdict(remark) for remark in verdict.remarks],
    }


def _show(judged: Sequence[tuple[Sequence[Path], Any]], lost: Sequence[_LostRow]) -> None:
    from proxy.commands.audit.table import lost_log, verdict_table
    from proxy.commands.terminal.answers import write_table

    for paths, verdict in judged:
        write_table(verdict_table([str(path) for path in paths], verdict))
    for one in lost:
        write_table(lost_log(one["log"], one["known_lines"], is_proven=one["intact"] is False))
