"""What belongs to a backup: state, the configuration and what it names; and what does not."""

import os
import socket
from pathlib import Path

import pytest

from certs.backup.contents import contents_of, state_files
from certs.files.directory import PlacedByOthers
from certs.sealing.key_file import create_key
from tests.backups import CONFIGURATION, PIN, Installation, linked


def names(site: Installation) -> set[str]:
    return {str(path.relative_to(site.directory)) for path in contents_of(site.loaded).present()}


def test_state_and_named_files_are_in_it(site: Installation) -> None:
    assert names(site) == {
        "plexigate.toml",
        *("tls/server.pem", "tls/server.key", "users", "log/audit.jsonl", "issued/owner"),
        *(f"issued/credentials/name{number}/ec/ledger.json" for number in range(2)),
        *(f"issued/credentials/name{number}/ec/v000001/{file}" for number in range(2) for file in ("key", "chain.pem")),
    }


def test_rotated_files_of_the_audit_log_are_in_it_and_grow(site: Installation) -> None:
    site.write("log/audit-000000000012.jsonl", b"")
    site.write("log/audit.jsonl.lock", b"")
    site.write("log/access.jsonl", b"")
    found = contents_of(site.loaded)
    assert {path.name for path in found.growing} == {"audit.jsonl", "audit-000000000012.jsonl"}
    assert {one for one in names(site) if one.startswith("log/")} == {
        "log/audit.jsonl",
        "log/audit-000000000012.jsonl",
    }


def test_what_a_proxy_makes_again_and_what_is_no_file_is_not(site: Installation) -> None:
    before = names(site)
    site.write("issued/credentials/name0/ec/ledger.json.new", b"")
    site.write("state/pin-latch/1", b"")
    site.write("state/one.pxbackup", b"")
    site.write("state/two.pxbackup.damaged", b"")
    site.write("issued/.plexigate-restore/1", b"")
    os.mkfifo(site.directory / "issued/pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(site.directory / "state/s"))
        assert names(site) == before


def test_directories_in_others_are_read_once(in_memory: Path) -> None:
    text = (
        CONFIGURATION.replace('state = "issued"', 'state = "state/issued"') + '[payload]\ndirectory = "state/rings"\n'
    )
    site = Installation.made(in_memory / "other", configuration=text)
    found = contents_of(site.loaded)
    assert found.states == (site.directory / "state",)
    assert site.directory / "state/issued" in found.locks


def test_secrets_that_stay_outside_are_named(in_memory: Path) -> None:
    text = f"""{CONFIGURATION}
[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
[hsm.token.plexi]
pin_file = "plexi.pin"
[identity.other]
names = ["other.test"]
certificate = "tls/server.pem"
key = "pkcs11:token=plexi;object=chat"
"""
    site = Installation.made(in_memory / "other", configuration=text)
    site.write("plexi.pin", b"4711\n")
    label = '{"label": "chat.ab.ecdsa-p256.v1", "id": "0102", "public": ""}'
    site.write("issued/credentials/name0/ec/v000001/key", label.encode())
    site.write("issued/issuers/internal/root/v000001/key", label.encode())
    assert not {"plexi.pin", "sealing.key"} & names(site)
    left_out = {one.what: one.remedy for one in contents_of(site.loaded).left_out}
    assert left_out[f"the PIN in {site.directory}/plexi.pin"] == "put it there before the start"
    remedies = {what: remedy for what, remedy in left_out.items() if what.startswith("the key ")}
    assert len(remedies) == 3
    assert sum("orders a certificate" in one for one in remedies.values()) == 1
    assert sum("new root" in one for one in remedies.values()) == 1
    assert sum("hsm generate" in one for one in remedies.values()) == 1


def test_a_directory_that_cannot_be_read_is_an_error(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(state_files(site.directory / "none", ())) == []
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("name0"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(PermissionError):
        list(state_files(site.directory / "issued", ()))


def test_state_behind_a_link_below_other_state_is_in_it(in_memory: Path) -> None:
    site, _ = linked(in_memory)
    assert contents_of(site.loaded).states[-1] == site.directory / "state/payload"
    assert "state/payload/ring-chat.sealed" in names(site)


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc"])
def test_other_links_in_state_are_refused(site: Installation, target: str) -> None:
    (site.directory / "state").mkdir(exist_ok=True)
    (site.directory / "state/x").symlink_to(target)
    with pytest.raises(PlacedByOthers, match="follows no link in state"):
        names(site)


def test_sealing_keys_and_pins_in_state_are_not(in_memory: Path) -> None:
    """Also where links lead to their directory, and keys that were replaced."""
    text = CONFIGURATION.replace('"sealing.key"', '"link/key"') + PIN.format("link/pin")
    site = Installation.made(in_memory / "other", configuration=text)
    (site.directory / "link").symlink_to("state/secret")
    (site.directory / "state/secret").mkdir()
    before = names(site)
    (site.directory / "sealing.key").rename(site.directory / "state/secret/key")
    create_key(site.directory / "state/secret/key-1")
    site.write("state/secret/pin", b"4711\n")
    assert names(site) == before


def test_the_key_of_before_there_was_sealing_is_unless_it_opens_the_keys_now(in_memory: Path) -> None:
    text = CONFIGURATION.replace('key = "sealing.key"', 'key = "next.key"')
    site = Installation.made(in_memory / "other", configuration=text)
    (site.directory / "sealing.key").rename(site.directory / "next.key")
    create_key(site.directory / "state/sealing.key")
    assert "state/sealing.key" in names(site)
    site.creation()  # makes the keys below the sealing key
    assert "state/sealing.key" in names(site)
    (site.directory / "next.key").replace(site.directory / "state/sealing.key")
    assert "state/sealing.key" not in names(site)
