"""Hashes of passwords: the two kinds that are read, their bounds, and what an error says."""

import hashlib
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from proxy.auth.password_hash import HashRefused, PasswordHash, new_hash, parse_hash

SALT = bytes(range(16))


def plain(octets: bytes) -> str:
    """Base64 without padding, as PHC strings have it."""
    return b64encode(octets).decode().rstrip("=")


def scrypt(password: bytes, exponent: int = 14, blocks: int = 8, parallel: int = 1) -> str:
    """A hash of scrypt as another program would make it."""
    digest = hashlib.scrypt(password, salt=SALT, n=2**exponent, r=blocks, p=parallel, maxmem=2**28, dklen=32)
    return f"$scrypt$ln={exponent},r={blocks},p={parallel}${plain(SALT)}${plain(digest)}"


def argon2(costs: str = "m=8192,t=1,p=1", salt: bytes = SALT, digest: bytes = bytes(32)) -> str:
    """The text of a hash, which is right for no password."""
    return f"$argon2id$v=19${costs}${plain(salt)}${plain(digest)}"


def refused(text: str) -> str:
    with pytest.raises(HashRefused) as caught:
        parse_hash(text)
    return str(caught.value)


def test_hash_that_we_write_is_read_and_has_the_costs_of_the_documents() -> None:
    text = new_hash(b"correct horse", SALT)
    assert text.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    read = parse_hash(text)
    assert read.matches(b"correct horse")
    assert not read.matches(b"correct horsf")
    assert read.work == 19_456 * 1024 * 2


def test_hashes_of_other_programs_are_read() -> None:
    assert parse_hash(scrypt(b"secret")).matches(b"secret")
    assert not parse_hash(scrypt(b"secret")).matches(b"Secret")
    made = Argon2id(salt=SALT, length=32, iterations=1, lanes=2, memory_cost=8192).derive_phc_encoded(b"secret")
    assert parse_hash(made).matches(b"secret")


def test_work_of_scrypt_counts_all_that_it_writes() -> None:
    assert parse_hash(scrypt(b"x", 14, 8, 2)).work == 2 * 16 * 1024 * 1024


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "$2y$05$abcdefghijklmnopqrstuv",
        "$apr1$salt$hash",
        "{SHA}abc=",
        "$argon2i$v=19$m=65536,t=3,p=4$AAAA$AAAA",
        "$argon2id$v=16$m=65536,t=3,p=4$AAAA$AAAA",
        " " + argon2(),
        argon2() + "$x",
        argon2("m=8192,t=1"),
    ],
)
def test_other_texts_are_refused_and_not_repeated(text: str) -> None:
    message = refused(text)
    assert message.startswith("a hash of another kind or form; allowed: a hash that begins with $argon2id$v=19$")
    assert not text or text not in message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (argon2("m=8191,t=1,p=1"), "8.0 MiB of memory"),
        (argon2("m=262145,t=1,p=1"), "256.0 MiB of memory"),
        (argon2("m=8192,t=0,p=1"), "t=0 and p=1"),
        (argon2("m=8192,t=1,p=0"), "t=1 and p=0"),
        (argon2("m=8192,t=1,p=17"), "t=1 and p=17"),
        (argon2("m=262144,t=5,p=1"), "takes too long"),
        (f"$scrypt$ln=12,r=8,p=1${plain(SALT)}${plain(bytes(32))}", "4.0 MiB of memory"),
        (f"$scrypt$ln=25,r=8,p=1${plain(SALT)}${plain(bytes(32))}", "ln=25, r=8 and p=1"),
        (f"$scrypt$ln=14,r=0,p=1${plain(SALT)}${plain(bytes(32))}", "ln=14, r=0 and p=1"),
        (f"$scrypt$ln=14,r=65,p=1${plain(SALT)}${plain(bytes(32))}", "ln=14, r=65 and p=1"),
        (f"$scrypt$ln=14,r=8,p=17${plain(SALT)}${plain(bytes(32))}", "ln=14, r=8 and p=17"),
        (f"$scrypt$ln=18,r=8,p=5${plain(SALT)}${plain(bytes(32))}", "takes too long"),
        (argon2(salt=bytes(15)), "15 octets"),
        (argon2(digest=bytes(65)), "65 octets"),
        (argon2() + " ", "not Base64"),
        (argon2().replace("AAEC", "A*EC"), "not Base64"),
    ],
)
def test_weak_and_costly_hashes_are_refused(text: str, found: str) -> None:
    assert found in refused(text)


def test_neither_salt_nor_digest_is_shown() -> None:
    assert repr(parse_hash(argon2())) == "PasswordHash(is_argon2=True, cost=(8192, 1, 1))"
    assert PasswordHash(is_argon2=True, cost=(8192, 1, 1), salt=SALT, digest=b"x") != parse_hash(argon2())
