"""Verifies an audit log: every line is there, unchanged, once, in order, and confirmed by
checkpoints.

Theory of operation. The files come in the order of their first lines. Each line is judged by itself
(its hash) and by its place (its number, and the hash of the line before). A finding is certain; the
cause that it names is the most likely one. After a finding the chain continues from what the line
states, so that one change gives one finding and not one for every line behind it.

An attacker who can write the file can compute the hashes again. So an intact line is *proven* only
if a checkpoint covers it: one in the log that a given public key signed, or a known one from
outside. If keys are given, one of them must have signed the known checkpoint too, because every
user of a machine can write to its journal. A signed checkpoint proves all lines before it, also
those written while the key was unavailable. An attacker without the key can only append lines
without signatures, or with other ones; so checkpoints after the last proven line that no given key
signed are reported separately.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from certs.audit.chain import names_torn
from certs.audit.checkpoint import Checkpoint, NotACheckpoint
from certs.audit.line import NO_HASH, Line, LineKind, NotALine
from certs.audit.sequence import Gap, Sequence, Succession
from certs.audit.verdict import Fault, LinePlace, LogFinding, LogVerdict, Remark
from certs.keys.signing_key import PublicKey


@dataclass(frozen=True, slots=True)
class LogSource:
    """A file of a log: its name, and its lines with their newlines, read as they are needed."""

    name: str
    lines: Iterable[bytes]


def verify(
    sources: Iterable[LogSource],
    public_keys: Mapping[str, PublicKey] | None = None,
    known: Iterable[Checkpoint] = (),
    since: int = 1,
) -> LogVerdict:
    """Judge the files of one log, in the order of their lines.

    A checkpoint counts if one of `public_keys` (`by_fingerprint`) signed it; without keys those
    count that are `known` from outside. Lines before the first are missing if a known one reports
    them, except for those before `since`, which were deleted on purpose. `sources` are read once.
    """
    examination = _Examination(public_keys or {}, since)
    for source in sources:
        examination.read(source)
    return examination.verdict(known)


class _Examination:
    """The state between two lines."""

    def __init__(self, keys: Mapping[str, PublicKey], since: int) -> None:
        self._keys = keys
        self._since = since
        self._log = ""
        self._sequence = Sequence()
        self._proven = 0
        self._place = LinePlace("", 0)
        self._torn = bytearray()
        self._torn_at: LinePlace | None = None
        self._torn_reason = ""
        self._findings: list[LogFinding] = []
        self._remarks: list[Remark] = []
        self._uncounted: dict[str, list[LinePlace]] = {}
        self._doubtful: list[tuple[int, LinePlace]] = []
        self._begun = LinePlace("", 0)
        self._known_before: list[int] = []

    def read(self, source: LogSource) -> None:
        for number, raw in enumerate(source.lines, 1):
            self._place = LinePlace(source.name, number)
            try:
                line = Line.parse(raw.removesuffix(b"\n"))
            except NotALine as error:
                self._keep_torn(raw, error)
                continue
            self._judge(line)
        self._end_file()

    def verdict(self, known: Iterable[Checkpoint]) -> LogVerdict:
        for index, checkpoint in enumerate(known, 1):
            self._judge_known(checkpoint, LinePlace("known checkpoints", index))
        self._judge_beginning()
        self._findings += map(_removed, self._sequence.gaps)
        for what, places in self._uncounted.items():
            count = f"{len(places)} checkpoints, the first here, are" if len(places) > 1 else "a checkpoint is"
            self._remarks.append(Remark(places[0], f"{count} {what}"))
        first = self._sequence.first
        last = self._sequence.last
        since = next((place for count, place in self._doubtful if self._proven and count > self._proven), None)
        return LogVerdict(self._log, first, last, self._proven, tuple(self._findings), tuple(self._remarks), since)

    # -- what is not a line

    def _keep_torn(self, raw: bytes, error: NotALine) -> None:
        if self._torn_at is None:
            self._torn_at = self._place
            self._torn_reason = str(error)
        self._torn += raw

    def _explain_torn(self, line: Line) -> None:
        place = self._torn_at
        torn = bytes(self._torn)
        self._torn_at = None
        self._torn = bytearray()
        if place is None:
            if "sha256" in line.facts:
                self._find(Fault.REMOVED, "it names the remains of an incomplete line before it, which are missing")
        elif names_torn(line, torn):
            self._remarks.append(
                Remark(place, f"{len(torn)} bytes of a line that a crash left incomplete, kept as evidence")
            )
        else:
            self._find(Fault.UNREADABLE, f"a line {self._torn_reason}", place)

    def _end_file(self) -> None:
        if self._torn_at is None:
            return
        if b"\n" in self._torn:
            self._find(Fault.UNREADABLE, f"a line {self._torn_reason}", self._torn_at)
        else:
            meaning = "the file ends in the middle of a line: a crash interrupted the write, or the file was cut there"
            self._remarks.append(Remark(self._torn_at, meaning))
        self._torn_at = None
        self._torn = bytearray()

    # -- lines

    def _judge(self, line: Line) -> None:
        self._explain_torn(line)
        if not line.is_intact:
            self._find(Fault.CHANGED, "the line does not have the hash that it had when it was written")
        if not self._sequence.last:
            self._begin(line)
        elif line.kind is LineKind.GENESIS:
            self._find(Fault.BEGUN_ANEW, "another log begins here; the one before is judged up to the line before")
            self._sequence = Sequence()
            self._proven = 0
            self._doubtful = []
            self._begin(line)
        else:
            self._follow(line)
        if line.kind is LineKind.CHECKPOINT:
            self._judge_checkpoint(line)

    def _begin(self, line: Line) -> None:
        self._sequence.take(line, self._place)
        self._begun = self._place
        if line.kind not in (LineKind.GENESIS, LineKind.CONTINUED):
            self._find(
                Fault.REMOVED, f"the lines before it (1 to {line.seq - 1}) are missing: no file begins like this"
            )
            return
        self._log = str(line.facts.get("log", ""))
        if line.kind is LineKind.GENESIS and (line.seq, line.prev) != (1, NO_HASH):
            self._find(Fault.UNLINKED, "the first line of a log has the number 1 and follows nothing")

    def _judge_beginning(self) -> None:
        """Whether lines are missing before the first, where a file begins as it should."""
        first = self._sequence.first
        if not self._log or first <= 1:
            return
        if not self._known_before:
            self._remarks.append(Remark(self._begun, f"lines 1 to {first - 1} are in files that were not given"))
            return
        count = len(self._known_before)
        told = (
            "known checkpoints prove that they existed, the last one for line"
            if count > 1
            else "a known checkpoint proves that they existed, for line"
        )
        meaning = f"{_numbers(self._since, first - 1)} missing before it; {told} {max(self._known_before)}"
        self._find(Fault.REMOVED, meaning, self._begun)

    def _follow(self, line: Line) -> None:
        last_hash = self._sequence.last_hash
        order = self._sequence.take(line, self._place)
        if order is Succession.LATE:
            self._find(Fault.REORDERED, f"line {line.seq} stands after later ones")
        elif order is Succession.AGAIN:
            self._find(Fault.DUPLICATED, f"line {line.seq} was there before")
        elif order is Succession.NEXT and line.prev != last_hash:
            self._find(Fault.UNLINKED, f"it does not follow line {line.seq - 1} before it, which was replaced")
        if line.kind is LineKind.CONTINUED and line.facts.get("log") != self._log:
            self._find(Fault.UNLINKED, "it continues another log")

    # -- checkpoints

    def _judge_checkpoint(self, line: Line) -> None:
        try:
            checkpoint = Checkpoint.from_facts(line.facts)
        except NotACheckpoint:
            self._find(Fault.WRONG_CHECKPOINT, "a checkpoint with missing fields")
            return
        if checkpoint.log != self._log or checkpoint.count >= line.seq:
            self._find(Fault.WRONG_CHECKPOINT, "a checkpoint of another log, or of lines that come after it")
            return
        if not self._is_there(checkpoint, str(self._place)):
            return
        if not self._keys:
            self._uncounted.setdefault("not checked: no public key was given", []).append(self._place)
        elif checkpoint.is_proof(self._keys):
            self._proven = max(self._proven, checkpoint.count)
        elif checkpoint.signature and checkpoint.key in self._keys:
            self._find(Fault.WRONG_SIGNATURE, "the signature of the checkpoint does not match its key and these lines")
        else:
            signed = f"signed by another key ({checkpoint.key[:16]}...)"
            what = signed if checkpoint.signature else f"not signed ({checkpoint.reason})"
            self._uncounted.setdefault(what, []).append(self._place)
            self._doubtful.append((checkpoint.count, self._place))

    def _judge_known(self, checkpoint: Checkpoint, place: LinePlace) -> None:
        if checkpoint.log != self._log:
            return
        if self._keys and not checkpoint.is_proof(self._keys):
            self._uncounted.setdefault(self._unsigned_claim(checkpoint), []).append(place)
        elif checkpoint.count > self._sequence.last:
            missing = checkpoint.count - self._sequence.last
            meaning = f"the log ends here with line {self._sequence.last}; at {checkpoint.time} it had {missing} more"
            self._find(Fault.CUT, meaning)
        elif checkpoint.count < self._sequence.first:
            if checkpoint.count >= self._since:
                self._known_before.append(checkpoint.count)
        elif self._is_there(checkpoint, f"the known one of {checkpoint.time}"):
            self._proven = max(self._proven, checkpoint.count)

    def _unsigned_claim(self, checkpoint: Checkpoint) -> str:
        """The claim of a known checkpoint that no given key signed: it proves nothing."""
        found = self._sequence.find(checkpoint.count)
        claim = ""
        if checkpoint.count > self._sequence.last:
            claim = " that the log had more lines than are here"
        elif found is not None and found[1] != checkpoint.head:
            claim = " that lines here were rewritten"
        return f"known but not signed by a given key: no proof{claim}"

    def _is_there(self, checkpoint: Checkpoint, name: str) -> bool:
        """Whether the line that a checkpoint names is there and has its hash."""
        found = self._sequence.find(checkpoint.count)
        if found is None:
            return False
        place, line_hash = found
        if line_hash != checkpoint.head:
            meaning = (
                f"line {checkpoint.count} differs from the checkpoint ({name}): it or earlier lines were rewritten"
            )
            self._find(Fault.REWRITTEN, meaning, place)
            return False
        return True

    def _find(self, fault: Fault, meaning: str, place: LinePlace | None = None) -> None:
        self._findings.append(LogFinding(place or self._place, fault, meaning))


def _removed(gap: Gap) -> LogFinding:
    return LogFinding(gap.place, Fault.REMOVED, f"{_numbers(gap.first, gap.last)} missing before it")


def _numbers(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"
