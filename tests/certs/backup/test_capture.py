"""What is captured is the state of one moment, whatever a proxy changes meanwhile."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from certs.backup.capture import NeverStill, _Digested, capture, known_directories
from certs.backup.contents import Contents, contents_of
from certs.backup.index import Index
from tests.backups import Installation, nothing


def captured(contents: Contents, told: Callable[[int], None] = nothing) -> tuple[Index, dict[str, bytes]]:
    """The index, and the content of each file in it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        index = capture(contents, archive, told)
    raw.seek(0)
    with tarfile.open(fileobj=raw) as archive:
        read = {one.name: archive.extractfile(one) for one in archive}
        content = {name: file.read() for name, file in read.items() if file is not None}
    return index, {one.path: content[one.member] for one in index.files}


def replace(path: Path, content: bytes) -> None:
    beside = path.with_name("beside.new")
    beside.write_bytes(content)
    beside.rename(path)


def test_every_file_is_there_once(site: Installation) -> None:
    contents = contents_of(site.loaded)
    index, found = captured(contents)
    paths = [one.path for one in index.files]
    assert len(set(paths)) == len(paths)
    assert found[str(site.path)] == site.path.read_bytes()
    assert all(one.size == len(found[one.path]) for one in index.files)


def test_a_rotation_meanwhile_is_captured_before_it_or_after_it_and_not_in_between(site: Installation) -> None:
    """The ledger of before with the keys of after would name a key that is gone."""
    contents = contents_of(site.loaded)
    shelf = site.directory / "issued/credentials/name1/ec"
    count = len(captured(contents)[0].files)
    for moment in range(count):
        for path, content in (("ledger.json", b"1"), ("v000001/key", b"key 1")):
            site.write(f"issued/credentials/name1/ec/{path}", content)
        (shelf / "v000002/key").unlink(missing_ok=True)
        left = moment

        def rotate(_size: int) -> None:
            nonlocal left
            if left == 0:
                site.write("issued/credentials/name1/ec/v000002/key", b"key 2")
                replace(shelf / "ledger.json", b"2")
                (shelf / "v000001/key").unlink()
            left -= 1

        _, found = captured(contents, rotate)
        names = {
            Path(path).relative_to(shelf).as_posix(): one for path, one in found.items() if path.startswith(str(shelf))
        }
        serving = names["ledger.json"].decode()
        assert names[f"v00000{serving}/key"] == b"key " + names["ledger.json"], moment
        assert serving == "2"


def test_state_that_is_never_still_is_given_up(site: Installation) -> None:
    contents = contents_of(site.loaded)
    changing = site.directory / "issued/rotation.json"
    count = 0

    def change(_size: int) -> None:
        nonlocal count
        count += 1
        replace(changing, b"%d" % count)

    with pytest.raises(NeverStill, match=r"rotation\.json"):
        captured(contents, change)


def test_a_log_that_grows_meanwhile_has_the_lines_of_before(site: Installation) -> None:
    contents = contents_of(site.loaded)
    log = site.directory / "log/audit.jsonl"

    def grow(_size: int) -> None:
        with log.open("ab") as file:
            file.write(b"line\n")

    _, found = captured(contents, grow)
    assert found[str(log)].startswith(b'{"seq": 1}\n')
    assert set(found[str(log)].splitlines()[1:]) <= {b"line"}


def test_a_file_that_goes_meanwhile_is_not_in_it(site: Installation) -> None:
    contents = contents_of(site.loaded)
    going = site.directory / "users"

    def go(_size: int) -> None:
        going.unlink(missing_ok=True)

    assert str(going) not in captured(contents, go)[1]


def test_directories_are_those_that_a_restore_may_have_to_make(site: Installation) -> None:
    (site.directory / "tls").chmod(0o750)
    contents = contents_of(site.loaded)
    known = {one.path: one for one in known_directories(contents, captured(contents)[0])}
    assert known[str(site.directory / "tls")].mode == 0o750
    assert {str(site.directory), str(site.directory / "state"), "/"} <= set(known)
    assert str(site.directory / "issued/credentials") not in known


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners_without_a_name_are_numbers(site: Installation) -> None:
    os.chown(site.directory / "users", 54_321, 54_321)
    (users,) = [one for one in captured(contents_of(site.loaded))[0].files if one.path.endswith("/users")]
    assert (users.user, users.group) == ("54321", "54321")


def test_a_file_that_becomes_shorter_while_it_is_read_is_named() -> None:
    reader = _Digested(io.BytesIO(b"ab"), Path("/users"))
    with pytest.raises(OSError, match=r"shorter while it was read: '/users'"):
        reader.read(3)
