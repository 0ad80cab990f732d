"""A file of users: what it may contain, and who is let in by it."""

import pytest

from proxy.auth.users import Users, UsersRefused, parse_users
from tests.proxy.auth.test_password_hash import argon2, scrypt


def refused(content: bytes) -> tuple[str, str]:
    with pytest.raises(UsersRefused) as caught:
        parse_users(content)
    return caught.value.found, caught.value.allowed


def users(*lines: str) -> Users:
    return parse_users("\n".join(lines).encode())


def test_users_of_a_file_are_let_in_by_their_own_passwords() -> None:
    read = users("# admins", "", f"ada:{scrypt(b'one')}", f"grace@example.org:{scrypt(b'two')}")
    assert len(read) == 2
    assert read.accepts("ada", b"one")
    assert not read.accepts("ada", b"two")
    assert read.accepts("grace@example.org", b"two")
    assert not read.accepts("Ada", b"one")


def test_unknown_name_is_compared_with_the_costliest_hash_and_refused() -> None:
    right_for_one = users(f"ada:{argon2()}", f"grace:{scrypt(b'two', 14, 8, 2)}")
    assert not right_for_one.accepts("eve", b"two")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no user"),
        (b"# nobody\n\n", "no user"),
        (b"ada\n", "line 1 without a name"),
        (b"\n:x\n", "line 2 without a name"),
        (f"a da:{argon2()}".encode(), "line 1 without a name"),
        (f"{'a' * 65}:{argon2()}".encode(), "line 1 without a name"),
        (f" ada:{argon2()}".encode(), "line 1 without a name"),
        (b"ada:secret\n", "line 1 with a hash of another kind or form"),
        (f"ada:{argon2()}\nada:{argon2()}".encode(), "line 2 with a name that stands above"),
        ("ädä:x".encode(), "octets that are not ASCII"),
    ],
)
def test_other_files_are_refused_with_the_line(content: bytes, found: str) -> None:
    assert refused(content)[0] == found


def test_a_file_has_a_bounded_number_of_users() -> None:
    lines = "\n".join(f"u{number}:{argon2()}" for number in range(1_001))
    assert refused(lines.encode())[0] == "1001 users"


def test_errors_and_repr_contain_no_hash() -> None:
    found, allowed = refused(b"ada:topsecret")
    assert "topsecret" not in found + allowed
    assert repr(users(f"ada:{argon2()}")) == "<Users: 1>"
