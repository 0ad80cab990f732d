"""What logs answer, in both APIs: each certificate, or that it is no answer of a log."""

import base64
import gzip
import json
from collections.abc import Callable

import pytest

from certs.transparency.entries import (
    AnswerDamaged,
    certificates,
    tile_certificates,
    tile_path,
)
from tests.transparency_logs import entries_answer, tile, vector

CERTIFICATES = [b"certificate", b"pre-certificate", b"x" * 300]
PRECERTIFICATES = {1}


DEEP = b"[" * 200_000


def test_certificates_and_precertificates_of_entries() -> None:
    assert certificates(entries_answer(CERTIFICATES, PRECERTIFICATES), 3) == CERTIFICATES


def answer(leaf: bytes, extra: bytes = b"") -> bytes:
    rows = [{"leaf_input": base64.b64encode(leaf).decode(), "extra_data": base64.b64encode(extra).decode()}]
    return json.dumps({"entries": rows}).encode()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no entries"),
        (DEEP, "no entries"),
        (b'{"entries": [' + b"{}," * 1_000 + b"{}]}", "more values than its entries can have"),
        (b'{"entries": [{}]}', "no entries"),
        (b'{"entries": [{"leaf_input": "!", "extra_data": ""}]}', "no entries"),
        (answer(b"\1\0"), "an entry of an unknown version"),
        (answer(b"\0\0" + b"\0" * 8 + b"\0\7"), "an entry of the unknown type 7"),
        (answer(b"\0\0" + b"\0" * 8 + b"\0\0" + b"\0\0\xffx"), "an entry that ends too early"),
    ],
)
def test_no_entries(content: bytes, found: str) -> None:
    with pytest.raises(AnswerDamaged, match=found):
        certificates(content, 1)


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
def test_certificates_and_precertificates_of_a_tile(pack: Callable[[bytes], bytes]) -> None:
    assert list(tile_certificates(pack(tile(CERTIFICATES, PRECERTIFICATES)))) == CERTIFICATES
    assert list(tile_certificates(b"")) == []


def test_each_shorter_tile_is_damaged_or_has_fewer_entries() -> None:
    whole = tile(CERTIFICATES, PRECERTIFICATES)
    for length in range(1, len(whole)):
        try:
            found = list(tile_certificates(whole[:length]))
        except AnswerDamaged:
            continue
        assert found == CERTIFICATES[: len(found)]
        assert len(found) < len(CERTIFICATES)
    with pytest.raises(AnswerDamaged, match="does not unpack"):
        list(tile_certificates(gzip.compress(whole)[:-9]))
    with pytest.raises(AnswerDamaged, match="does not unpack"):
        list(tile_certificates(gzip.compress(b"")[:10] + b"\xff" * 20))


@pytest.mark.parametrize(
    ("number", "entries", "path"),
    [
        (0, 256, "tile/data/000"),
        (0, 3, "tile/data/000.p/3"),
        (999, 256, "tile/data/999"),
        (1_000, 256, "tile/data/x001/000"),
        (1_234_067, 255, "tile/data/x001/x234/067.p/255"),
    ],
)
def test_where_a_tile_is(number: int, entries: int, path: str) -> None:
    assert tile_path(number, entries) == path


def test_a_vector_is_what_tls_says() -> None:
    assert vector(2, b"ab") == b"\0\2ab"
