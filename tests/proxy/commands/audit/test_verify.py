"""`plexigate audit verify` on files: what it says, and with which status it ends."""

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from certs.audit.checkpoint import Checkpoint
from certs.audit.log import AuditLog, AuditRules
from proxy.commands.cli import app
from tests.certs.audit.logs import NOW, OTHER_SIGNER, SIGNED, SIGNER, Journal


def verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", "verify", *map(str, arguments)], env={"NO_COLOR": "1", "TERM": "dumb"})


@dataclass
class Site:
    """A log in two files with the key that signed it and what the journal has."""

    old: Path
    new: Path
    key: Path
    known: Path

    @property
    def all(self) -> list[str | Path]:
        return [self.new, self.old, "--public-key", self.key, "--checkpoints", self.known]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "audit.jsonl.1", tmp_path / "audit.jsonl", tmp_path / "audit.pub", tmp_path / "known.txt")
    journal = Journal()
    log = AuditLog(site.new, AuditRules(rotate_bytes=None), SIGNER, journal)
    log.start(NOW)
    log.record(SIGNED, NOW)
    site.new.rename(site.old)
    log.record(SIGNED, NOW)
    log.checkpoint(NOW)
    log.close()
    site.known.write_text("".join(f"May 04 gate plexigate[1]: {text}\n" for text in journal.texts))
    site.key.write_bytes(SIGNER.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return site


def test_intact_and_proven(site: Site) -> None:
    result = verify(*site.all)
    assert result.exit_code == 0, result.output
    assert "Intact: lines 1 to 6, proven up to 5; the last 1 line still unproven." in result.stdout


def test_without_proof(site: Site) -> None:
    result = verify(site.old, site.new)
    assert result.exit_code == 3
    assert "nothing is proven" in result.stdout


def test_a_changed_line_is_placed(site: Site) -> None:
    site.old.write_bytes(site.old.read_bytes().replace(b'"actor":"parent"', b'"actor":"nobody"'))
    result = verify(*site.all)
    assert result.exit_code == 1
    assert f"{site.old}:3" in result.stdout.replace("\n", "")
    assert "changed" in result.stdout


def test_a_cut_tail_is_found_against_the_journal(site: Site) -> None:
    lines = site.new.read_bytes().splitlines(keepends=True)
    site.new.write_bytes(b"".join(lines[:-2]))
    assert verify(site.old, site.new, "--public-key", site.key).exit_code == 0
    result = verify(*site.all)
    assert result.exit_code == 1
    assert "cut" in result.stdout


def test_a_log_that_was_written_on_by_who_has_no_key(site: Site) -> None:
    log = AuditLog(site.new, AuditRules(), None, Journal())
    log.start(NOW)
    log.close()
    result = verify(*site.all)
    assert result.exit_code == 4
    assert "UNPROVEN TAIL" in result.stdout
    assert f"{site.new}:4" in result.stdout.replace("\n", "")
    (found,) = json.loads(verify(*site.all, "--json").stdout)
    assert (found["status"], found["intact"]) == ("unproven tail", True)
    assert found["unproven_since"] == {"file": str(site.new), "line": 4}


def test_a_key_that_was_replaced(site: Site, tmp_path: Path) -> None:
    log = AuditLog(site.new, AuditRules(), OTHER_SIGNER, Journal())
    log.start(NOW)
    log.close()
    other = tmp_path / "other.pub"
    other.write_bytes(OTHER_SIGNER.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert verify(*site.all).exit_code == 4
    assert verify(*site.all, "--public-key", other).exit_code == 0


def test_json_and_compressed_files(site: Site) -> None:
    packed = site.old.with_name("audit.jsonl.1.gz")
    packed.write_bytes(gzip.compress(site.old.read_bytes()))
    site.new.write_bytes(site.new.read_bytes().replace(b'"count":5', b'"count":4'))
    result = verify(packed, site.new, "--json", "--public-key", site.key)
    (found,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["files"] == [str(packed), str(site.new)]
    assert (found["intact"], found["first"], found["last"]) == (False, 1, 6)
    assert found["findings"][0] == {
        "place": {"file": str(site.new), "line": 3},
        "fault": "changed",
        "meaning": "the line does not have the hash that it had when it was written",
    }


def test_a_file_whose_first_line_is_gone_still_belongs_to_its_log(site: Site) -> None:
    site.new.write_bytes(site.new.read_bytes().split(b"\n", 1)[1])
    result = verify(*site.all)
    assert (result.exit_code, result.stdout.count("log ")) == (1, 1)
    assert "line 4 is missing before it" in result.stdout


def test_each_log_by_itself(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other" / "audit.jsonl"
    other.parent.mkdir()
    log = AuditLog(other, AuditRules(), OTHER_SIGNER, Journal())
    log.start(NOW)
    log.close()
    result = verify(*site.all, other)
    assert (result.exit_code, result.stdout.count("files")) == (3, 1)
    assert "signed by another key" in " ".join(result.stdout.split())


def test_a_log_that_was_deleted(site: Site) -> None:
    site.old.unlink()
    site.new.unlink()
    log = AuditLog(site.new, AuditRules(), SIGNER, Journal())
    log.start(NOW)
    log.close()
    result = verify(site.new, "--public-key", site.key, "--checkpoints", site.known)
    assert result.exit_code == 1
    assert "a known checkpoint covers 5 lines; no file of this log was given" in result.stdout
    assert json.loads(verify(site.new, "--json", "--checkpoints", site.known).stdout)[1]["known_lines"] == 5


def test_the_oldest_file_is_gone(site: Site) -> None:
    site.old.unlink()
    without: list[str | Path] = [site.new, "--public-key", site.key]
    assert verify(*without).exit_code == 0
    result = verify(*without, "--checkpoints", site.known)
    assert result.exit_code == 1
    assert "lines 1 to 3 are missing before it; a known checkpoint proves that they existed" in " ".join(
        result.stdout.split()
    )
    assert verify(*without, "--checkpoints", site.known, "--from", "4").exit_code == 0


def test_a_journal_that_others_wrote_to(site: Site) -> None:
    other = Checkpoint("f" * 32, 40, bytes(32), "2026")
    forged = Checkpoint(json.loads(verify(*site.all, "--json").stdout)[0]["log"], 90, bytes(32), "2026")
    site.known.write_text(f"{site.known.read_text()}{other.journal_text}\n{forged.journal_text}\n")
    result = verify(*site.all)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "no proof that the log had more lines than are here" in shown
    assert "it is not proven that this log existed: no checkpoint of it is signed by a given key" in shown
    assert json.loads(verify(*site.all, "--json").stdout)[1] == {
        "log": "f" * 32, "files": [], "known_lines": 40, "intact": None, "status": "unproven",
    }  # fmt: skip
    assert verify(site.old, site.new, "--checkpoints", site.known).exit_code == 1, (
        "without a key they are all that there is"
    )


def test_what_cannot_be_read(site: Site, tmp_path: Path) -> None:
    for arguments in (
        [tmp_path / "missing"],
        [site.new, "--public-key", site.new],
        [site.new, "--checkpoints", tmp_path / "missing"],
    ):
        result = verify(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("plexigate: ")
    packed = site.old.with_name("audit.jsonl.2.gz")
    packed.write_bytes(gzip.compress(site.old.read_bytes())[:-9])
    for damaged in (packed.read_bytes(), b"no gzip", gzip.compress(site.old.read_bytes())[:40] + bytes(40)):
        packed.write_bytes(damaged)
        result = verify(site.new, packed)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"plexigate: {packed} cannot be read: ")
        assert result.stderr.count("\n") == 1
    assert verify().exit_code == 2


def test_a_file_named_twice_is_read_once(site: Site, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(site.old)
    result = verify(*site.all, site.old, link)
    assert result.exit_code == 0
    assert result.stderr == f"plexigate: {site.old} is named more than once; it is read once\n"


def test_other_commands_do_not_load_it() -> None:
    """Those that tell the log something need its entries only."""
    code = "import sys, proxy.commands.cli; sys.exit(any(name.startswith('certs.audit.ver') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
