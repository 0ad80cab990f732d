"""The container gives back what was written, or says that it is damaged."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.backup.container import PART_BYTES, BackupDamaged, BackupReader, BackupWriter, Written

SECRET = bytes(range(32))
HEADER = b"who can open it"


def written(content: bytes, secret: bytes = SECRET, header: bytes = HEADER) -> tuple[bytes, Written]:
    """A container with a content, and what a manifest says of it."""
    file = io.BytesIO()
    writer = BackupWriter(file, header, secret)
    for at in range(0, len(content), 100_003):
        writer.write(content[at : at + 100_003])
    facts = writer.finish_content()
    writer.finish(b"manifest", b"signature of manifest")
    return file.getvalue(), facts


def read(raw: bytes, facts: Written, secret: bytes = SECRET) -> bytes:
    reader = BackupReader(io.BytesIO(raw))
    if (reader.header, reader.manifest, reader.signature) != (HEADER, b"manifest", b"signature of manifest"):
        raise BackupDamaged("has another header, manifest or signature")  # which the signature tells
    reader.check(facts, lambda _: None)
    return b"".join(reader.content(secret))


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 7])
def test_content_comes_back(size: int) -> None:
    content = os.urandom(size)
    raw, facts = written(content)
    assert read(raw, facts) == content
    assert content[:50] not in raw or size < 50
    parts = max(1, -(-size // PART_BYTES))
    assert facts.body_bytes == size + 16 * parts


SMALL, SMALL_FACTS = written(b"0123456789" * 20)


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_every_byte_that_was_changed_is_found(place: int, change: int) -> None:
    raw = bytearray(SMALL)
    raw[place] ^= change
    with pytest.raises(BackupDamaged):
        read(bytes(raw), SMALL_FACTS)


def test_it_is_found_at_each_byte_where_it_was_cut() -> None:
    for end in range(len(SMALL)):
        with pytest.raises(BackupDamaged):
            read(SMALL[:end], SMALL_FACTS)
    with pytest.raises(BackupDamaged, match="after its end"):
        BackupReader(io.BytesIO(SMALL + b"\0"))


def parts_of(raw: bytes) -> tuple[bytes, list[bytes], bytes]:
    reader = BackupReader(io.BytesIO(raw))
    begin = raw.index(HEADER) + len(HEADER)
    body = raw[begin : begin + reader.body_bytes]
    step = PART_BYTES + 16
    return raw[:begin], [body[at : at + step] for at in range(0, len(body), step)], raw[begin + len(body) :]


@pytest.mark.parametrize(
    "change",
    [
        lambda parts, _: parts[:-1],  # cut at the end of a part
        lambda parts, _: parts[1:],
        lambda parts, _: [parts[1], parts[0], *parts[2:]],
        lambda parts, _: [parts[0], parts[0], *parts[1:]],
        lambda parts, others: [others[0], *parts[1:]],  # of another backup
        lambda parts, _: [*parts, parts[-1]],
    ],
)
def test_parts_that_were_moved_do_not_open_even_without_a_look_at_the_digest(change: object) -> None:
    head, parts, end = parts_of(written(os.urandom(3 * PART_BYTES + 5))[0])
    others = parts_of(written(os.urandom(3 * PART_BYTES + 5), os.urandom(32))[0])[1]
    assert callable(change)
    reader = BackupReader(io.BytesIO(head + b"".join(change(parts, others)) + end))
    with pytest.raises(BackupDamaged, match="does not open"):
        for _ in reader.content(SECRET):
            pass


def test_another_secret_or_header_opens_nothing() -> None:
    with pytest.raises(BackupDamaged, match="part 1 of 1"):
        read(SMALL, SMALL_FACTS, bytes(32))
    raw = SMALL.replace(HEADER, HEADER[::-1])
    with pytest.raises(BackupDamaged):
        list(BackupReader(io.BytesIO(raw)).content(SECRET))
    with pytest.raises(BackupDamaged, match="its header"):
        BackupReader(io.BytesIO(raw)).check_header(SMALL_FACTS)


@given(st.binary(max_size=200))
def test_other_files_are_no_backups(raw: bytes) -> None:
    with pytest.raises(BackupDamaged):
        BackupReader(io.BytesIO(raw))


def test_another_format_is_named() -> None:
    with pytest.raises(BackupDamaged, match="has the format 2; this Plexigate knows format 1"):
        BackupReader(io.BytesIO(SMALL[:8] + b"\x02" + SMALL[9:]))


def test_lengths_that_no_memory_holds_are_refused() -> None:
    raw = SMALL[:9] + (70_000_000).to_bytes(4, "big") + SMALL[13:] + bytes(70_000_000) + SMALL[-16:]
    with pytest.raises(BackupDamaged, match="more than"):
        BackupReader(io.BytesIO(raw))


def test_a_file_that_becomes_shorter_meanwhile_is_refused() -> None:
    file = io.BytesIO(SMALL)
    reader = BackupReader(file)
    file.truncate(len(SMALL) // 2 - 100)
    with pytest.raises(BackupDamaged, match="shorter"):
        reader.check(SMALL_FACTS, lambda _: None)
