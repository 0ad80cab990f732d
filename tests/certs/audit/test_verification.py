"""Whether a log is what was written: each way to change one is found, and said where."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.audit.chain import Head, genesis
from certs.audit.checkpoint import Checkpoint
from certs.audit.line import NO_HASH, Line, LineKind
from certs.audit.signatures import by_fingerprint
from certs.audit.signing import FileSigner
from certs.audit.verdict import Fault, LinePlace, LogFinding, LogVerdict, Status
from certs.audit.verification import LogSource, verify
from tests.certs.audit.logs import LOG, NOW, OTHER_SIGNER, SIGNED, SIGNER, Writer, judged


def faults(verdict: LogVerdict) -> list[tuple[str, Fault]]:
    return [(str(finding.place), finding.fault) for finding in verdict.findings]


def whole() -> tuple[list[bytes], Checkpoint]:
    """A log of 12 lines with two checkpoints, the last of which covers all lines before it, and a known one of all."""
    writer = Writer().operations(4)
    writer.checkpoint()
    writer.operations(4)
    writer.checkpoint()
    writer.operations(1)
    return writer.lines, Checkpoint.of(writer.head, NOW).signed(SIGNER)


LINES, LAST = whole()


def forged(lines: Sequence[bytes], first: int) -> list[bytes]:
    """The same log with all hashes computed again from an index on, as whoever can write the file could do."""
    before = Line.parse(lines[first - 1][:-1])
    head, result = Head(LOG, before.seq, before.hash), list(lines[:first])
    for raw in lines[first:]:
        old = Line.parse(raw[:-1])
        line = head.line(old.kind, old.facts, NOW)
        head = head.moved(line)
        result.append(line.encode())
    return result


class TestIntact:
    def test_proven_up_to_the_last_checkpoint(self) -> None:
        assert judged(LINES) == LogVerdict(LOG, 1, 12, 10, (), ())
        assert judged(LINES).unproven == 2

    def test_a_known_checkpoint_proves_the_rest(self) -> None:
        assert judged(LINES, known=[LAST]).unproven == 0
        assert judged(LINES, known=[LAST], key=None).unproven == 0

    def test_without_a_key_nothing_in_the_file_is_proof(self) -> None:
        verdict = judged(LINES, key=None)
        assert (verdict.is_intact, verdict.proven) == (True, 0)
        assert [remark.meaning for remark in verdict.remarks] == [
            "2 checkpoints, the first here, are not checked: no public key was given"
        ]

    def test_another_key_or_no_signature_is_no_proof(self) -> None:
        writer = Writer()
        writer.checkpoint(OTHER_SIGNER)
        writer.checkpoint(None)
        verdict = judged(writer.lines)
        assert (verdict.is_intact, verdict.proven) == (True, 0)
        first, second = (remark.meaning for remark in verdict.remarks)
        assert first.startswith("a checkpoint is signed by another key (")
        assert second == "a checkpoint is not signed (the token is gone)"

    def test_no_line(self) -> None:
        assert judged([]) == judged() == LogVerdict("", 0, 0, 0, (), ())

    def test_files_from_the_middle_of_a_log(self) -> None:
        writer = Writer().operations(3)
        rest = [writer.put(LineKind.CONTINUED, {"log": LOG}).encode()]
        writer.lines = rest
        writer.operations(2).checkpoint()
        verdict = judged(rest)
        assert (verdict.is_intact, verdict.first, verdict.proven, verdict.unproven) == (True, 5, 7, 1)
        assert [remark.meaning for remark in verdict.remarks] == ["lines 1 to 4 are in files that were not given"]


class TestEachLine:
    """Every line of the log, changed in every way: found with the known checkpoint, and placed at that line or the next."""

    @pytest.mark.parametrize("index", range(len(LINES)))
    def test_removed(self, index: int) -> None:
        verdict = judged(LINES[:index] + LINES[index + 1 :], known=[LAST])
        place = f"0.jsonl:{index + 1}" if index < len(LINES) - 1 else "0.jsonl:11"
        expected = Fault.REMOVED if index < len(LINES) - 1 else Fault.CUT
        if index == 0:  # then the id of the log is unknown, and with it which known checkpoints are of it
            place = "0.jsonl:1"
        assert faults(verdict)[0] == (place, expected)

    @pytest.mark.parametrize("index", range(len(LINES) - 1))
    def test_swapped_with_the_next(self, index: int) -> None:
        lines = [*LINES[:index], LINES[index + 1], LINES[index], *LINES[index + 2 :]]
        found = faults(judged(lines, known=[LAST]))
        assert found
        if index:
            assert found == [(f"0.jsonl:{index + 2}", Fault.REORDERED)]

    @pytest.mark.parametrize("index", range(len(LINES)))
    @pytest.mark.parametrize("target", range(1, len(LINES) + 1))
    def test_duplicated(self, index: int, target: int) -> None:
        lines = [*LINES[:target], LINES[index], *LINES[target:]]
        found = faults(judged(lines, known=[LAST]))
        if index == 0:
            assert found[0] == (f"0.jsonl:{target + 1}", Fault.BEGUN_ANEW)
        elif index < target:
            assert found == [(f"0.jsonl:{target + 1}", Fault.DUPLICATED)]
        else:  # put before itself: all between the two stands after a later line
            late = [(f"0.jsonl:{place}", Fault.REORDERED) for place in range(target + 2, index + 2)]
            assert found == [*late, (f"0.jsonl:{index + 2}", Fault.DUPLICATED)]

    @given(st.data())
    def test_any_byte_changed(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(LINES) - 1))
        place = data.draw(st.integers(0, len(LINES[index]) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != LINES[index][place]))
        changed = LINES[index][:place] + bytes([byte]) + LINES[index][place + 1 :]
        text = b"".join([*LINES[:index], changed, *LINES[index + 1 :]])
        verdict = judged(text.splitlines(keepends=True) if byte == 10 else split(text), known=[LAST])
        assert not verdict.is_intact
        lines = {finding.place.line for finding in verdict.findings}
        assert lines & {index, index + 1, index + 2}

    @given(st.integers(1, len(LINES) - 1), st.sampled_from(["actor", "key", "detail"]))
    def test_changed_and_all_hashes_computed_anew(self, index: int, name: str) -> None:
        old = Line.parse(LINES[index][:-1])
        evil = Line.after(old.prev, old.seq, old.kind, {**old.facts, name: "nobody"}, NOW)
        lines = forged([*LINES[:index], evil.encode(), *LINES[index + 1 :]], index + 1)
        found = faults(judged(lines, known=[LAST]))
        assert (f"0.jsonl:{LAST.count}", Fault.REWRITTEN) in found
        assert (not judged(lines).is_intact) is (index < 10), "lines after the last checkpoint are unproven"

    @pytest.mark.parametrize("index", range(1, len(LINES) - 1))
    def test_replaced_with_its_own_hash_computed_anew(self, index: int) -> None:
        old = Line.parse(LINES[index][:-1])
        evil = Line.after(old.prev, old.seq, LineKind.OPERATION, {**SIGNED.facts, "key": "other"}, NOW)
        found = faults(judged([*LINES[:index], evil.encode(), *LINES[index + 1 :]]))
        assert (f"0.jsonl:{index + 2}", Fault.UNLINKED) in found

    @pytest.mark.parametrize("cut", range(1, len(LINES)))
    def test_cut_tail(self, cut: int) -> None:
        verdict = judged(LINES[:cut], known=[LAST])
        assert faults(verdict) == [(f"0.jsonl:{cut}", Fault.CUT)]
        assert f"it had {12 - cut} more" in verdict.findings[0].meaning
        assert judged(LINES[:cut]).is_intact


def split(text: bytes) -> list[bytes]:
    return [f"{part}\n".encode("latin-1") for part in text.decode("latin-1").split("\n")[:-1]] + (
        [text[text.rfind(b"\n") + 1 :]] if not text.endswith(b"\n") else []
    )


class TestFiles:
    def files(self) -> Iterator[list[bytes]]:
        writer = Writer().operations(3)
        yield writer.lines
        for _ in range(2):
            writer.lines = []
            writer.put(LineKind.CONTINUED, {"log": LOG})
            writer.operations(2).checkpoint()
            yield writer.lines

    def test_rotation_is_one_log(self) -> None:
        verdict = judged(*self.files())
        assert (verdict.is_intact, verdict.last, verdict.proven, verdict.remarks) == (True, 12, 11, ())

    @pytest.mark.parametrize(
        ("index", "expected"),
        [
            (0, []),  # said as a remark: the file may be elsewhere
            (1, [LogFinding(LinePlace("1.jsonl", 1), Fault.REMOVED, "lines 5 to 8 are missing before it")]),
            (2, []),  # cannot be known without a checkpoint from outside
        ],
    )
    def test_a_file_that_is_missing(self, index: int, expected: list[LogFinding]) -> None:
        files = list(self.files())
        del files[index]
        assert list(judged(*files).findings) == expected

    def test_a_file_given_twice(self) -> None:
        first, second, third = self.files()
        assert {fault for _, fault in faults(judged(first, second, second, third))} == {Fault.DUPLICATED}

    def test_a_file_of_another_log(self) -> None:
        first, *_ = self.files()
        head = Line.parse(first[-1][:-1])
        other = Head("f" * 32, head.seq, head.hash).continued(NOW).encode()
        assert faults(judged(first, [other])) == [("1.jsonl:1", Fault.UNLINKED)]

    def test_a_log_begun_anew(self) -> None:
        first, *_ = self.files()
        assert faults(judged(first, Writer("f" * 32).lines)) == [("1.jsonl:1", Fault.BEGUN_ANEW)]

    def test_a_beginning_that_is_none(self) -> None:
        lines = Writer().operations(2).lines
        assert faults(judged(lines[1:])) == [("0.jsonl:1", Fault.REMOVED)]
        fourth = Line.after(NO_HASH, 4, LineKind.GENESIS, {"log": LOG}, NOW)
        assert faults(judged([fourth.encode()])) == [("0.jsonl:1", Fault.UNLINKED)]


class TestTorn:
    def test_named_by_the_next_line(self) -> None:
        writer = Writer()
        torn = b'{"hash":"00'
        writer.lines.append(torn + b"\n")
        line = writer.head.after_torn(torn, NOW)
        writer.lines.append(line.encode())
        verdict = judged(writer.lines)
        assert (verdict.is_intact, verdict.last) == (True, 2)
        assert [str(remark.place) for remark in verdict.remarks] == ["0.jsonl:2"]
        changed = [writer.lines[0], b'{"hash":"01\n', *writer.lines[2:]]
        assert faults(judged(changed)) == [("0.jsonl:2", Fault.UNREADABLE)]
        assert faults(judged([writer.lines[0], *writer.lines[2:]])) == [("0.jsonl:2", Fault.REMOVED)]

    def test_at_the_end(self) -> None:
        lines = [*Writer().lines, b'{"ha']
        assert judged(lines).is_intact
        assert "the file ends in the middle of a line" in judged(lines).remarks[0].meaning
        assert judged([genesis(LOG, NOW).encode().removesuffix(b"\n")]).last == 1

    def test_a_whole_line_that_is_none(self) -> None:
        assert faults(judged([*Writer().lines, b'{"ha\n'])) == [("0.jsonl:2", Fault.UNREADABLE)]


class TestWhatFollowsASignature:
    """Who has no key can keep what is signed and write on: without signatures, or with others."""

    @pytest.mark.parametrize("signer", [None, OTHER_SIGNER])
    def test_checkpoints_that_nobody_trusted_signed(self, signer: FileSigner | None) -> None:
        writer = Writer()
        writer.checkpoint()
        writer.operations(3).checkpoint(signer)
        writer.operations(3).checkpoint(signer)
        verdict = judged(writer.lines)
        assert (verdict.findings, verdict.proven, verdict.status) == ((), 1, Status.UNPROVEN_TAIL)
        assert verdict.unproven_since == LinePlace("0.jsonl", 6)

    @pytest.mark.parametrize("signer", [None, OTHER_SIGNER])
    def test_a_later_signature_proves_what_was_before_it(self, signer: FileSigner | None) -> None:
        writer = Writer()
        writer.checkpoint()
        writer.operations(3).checkpoint(signer)
        writer.checkpoint()
        verdict = judged(writer.lines)
        assert (verdict.proven, verdict.status, verdict.unproven_since) == (6, Status.PROVEN, None)

    def test_a_known_one_proves_as_well(self) -> None:
        writer = Writer()
        writer.checkpoint()
        writer.operations(3).checkpoint(None)
        assert judged(writer.lines).status is Status.UNPROVEN_TAIL
        known = Checkpoint.of(writer.head, NOW).signed(SIGNER)
        assert judged(writer.lines, known=[known]).status is Status.PROVEN

    def test_a_key_that_was_replaced(self) -> None:
        writer = Writer()
        writer.checkpoint()
        writer.operations(3).checkpoint(OTHER_SIGNER)
        assert judged(writer.lines).status is Status.UNPROVEN_TAIL
        assert judged(writer.lines, key=OTHER_SIGNER.public_key).status is Status.PROVEN
        keys = by_fingerprint([SIGNER.public_key, OTHER_SIGNER.public_key])
        verdict = verify([LogSource("a", writer.lines)], keys)
        assert (verdict.status, verdict.proven, verdict.remarks) == (Status.PROVEN, 5, ())

    def test_where_nothing_is_proven_there_is_no_tail(self) -> None:
        writer = Writer()
        writer.checkpoint(None)
        assert judged(writer.lines).status is judged(writer.lines, key=None).status is Status.UNPROVEN
        assert judged([*writer.lines, b"x\n"]).status is Status.DAMAGED


class TestCheckpoints:
    def test_signature_that_is_not_of_these_lines(self) -> None:
        writer = Writer().operations(2)
        right = Checkpoint.of(writer.head, NOW).signed(SIGNER)
        writer.put(LineKind.CHECKPOINT, replace(right, time="2020").facts)
        assert faults(judged(writer.lines)) == [("0.jsonl:4", Fault.WRONG_SIGNATURE)]

    def test_checkpoint_of_other_lines(self) -> None:
        writer = Writer().operations(2)
        writer.put(LineKind.CHECKPOINT, Checkpoint(LOG, 2, bytes(32), "2026").signed(SIGNER).facts)
        assert faults(judged(writer.lines)) == [("0.jsonl:2", Fault.REWRITTEN)]

    @pytest.mark.parametrize(
        "facts",
        [
            {},
            Checkpoint("f" * 32, 1, bytes(32), "2026").facts,
            Checkpoint(LOG, 2, bytes(32), "2026").facts,
        ],
    )
    def test_what_can_be_no_checkpoint_here(self, facts: dict[str, str | int]) -> None:
        writer = Writer()
        writer.put(LineKind.CHECKPOINT, facts)
        assert faults(judged(writer.lines)) == [("0.jsonl:2", Fault.WRONG_CHECKPOINT)]

    def test_known_one_of_another_log(self) -> None:
        assert judged(LINES, known=[replace(LAST, log="f" * 32)]).proven == 10


class TestLinesBeforeTheFirst:
    """Old files may be elsewhere, or deleted by logrotate; or somebody has deleted what they tell."""

    REST = Head(LOG, 100, bytes(32)).continued(NOW).encode()

    def known(self, count: int) -> Checkpoint:
        return Checkpoint.of(Head(LOG, count, bytes(32)), NOW).signed(SIGNER)

    def test_a_known_checkpoint_of_them_says_that_they_are_missing(self) -> None:
        verdict = judged([self.REST], known=[self.known(5), self.known(40), self.known(7)])
        assert verdict.findings == (
            LogFinding(
                LinePlace("0.jsonl", 1),
                Fault.REMOVED,
                "lines 1 to 100 are missing before it; known checkpoints prove that they existed, the last one for line 40",
            ),
        )
        assert (verdict.proven, verdict.remarks) == (0, ())

    @pytest.mark.parametrize("known", [[], [Checkpoint.of(Head(LOG, 40, bytes(32)), NOW)]])
    def test_otherwise_they_are_mentioned(self, known: list[Checkpoint]) -> None:
        verdict = judged([self.REST], known=known)
        assert (verdict.is_intact, verdict.unproven) == (True, 1)
        assert verdict.remarks[0].meaning == "lines 1 to 100 are in files that were not given"

    @pytest.mark.parametrize(("since", "missing"), [(40, ["lines 40 to 100"]), (41, []), (101, []), (500, [])])
    def test_those_that_were_deleted_on_purpose(self, since: int, missing: list[str]) -> None:
        verdict = verify(
            [LogSource("a", [self.REST])], by_fingerprint([SIGNER.public_key]), [self.known(5), self.known(40)], since
        )
        assert [finding.meaning.partition(" are missing")[0] for finding in verdict.findings] == missing


class TestKnownButNotSigned:
    """Every user of a machine can write to its journal: with a key, what it did not sign neither proves nor disproves a line."""

    @pytest.mark.parametrize(
        "known",
        [
            replace(LAST, key="", signature=b""),
            Checkpoint.of(Head(LOG, LAST.count, LAST.head), NOW).signed(OTHER_SIGNER),
            replace(LAST, time="2020"),
        ],
        ids=["no signature", "of another key", "a signature of something else"],
    )
    def test_is_no_proof(self, known: Checkpoint) -> None:
        verdict = judged(LINES, known=[known, known])
        assert (verdict.findings, verdict.proven) == ((), 10)
        assert [(str(remark.place), remark.meaning) for remark in verdict.remarks] == [
            (
                "known checkpoints:1",
                "2 checkpoints, the first here, are known but not signed by a given key: no proof",
            )
        ]
        longer, other = replace(known, count=99), replace(known, head=bytes(32))
        verdict = judged(LINES, known=[longer, other])
        assert (verdict.findings, verdict.proven) == ((), 10)
        assert [remark.meaning.partition(": ")[2] for remark in verdict.remarks] == [
            "no proof that the log had more lines than are here",
            "no proof that lines here were rewritten",
        ]

    def test_without_a_key_it_is_all_that_there_is(self) -> None:
        known = replace(LAST, key="", signature=b"")
        assert judged(LINES, key=None, known=[known]).proven == 12
        assert faults(judged(LINES, key=None, known=[replace(known, count=99)])) == [("0.jsonl:12", Fault.CUT)]
        assert faults(judged(LINES, key=None, known=[replace(known, head=bytes(32))])) == [
            ("0.jsonl:12", Fault.REWRITTEN)
        ]


def test_an_entry_is_there() -> None:
    assert b'"actor":"parent"' in LINES[1]
    assert SIGNED.actor == "parent"
