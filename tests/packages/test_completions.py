"""The completions in the shells that they are for: what TAB offers."""

import shlex
import subprocess
from pathlib import Path

import pytest

from docker.building.manual.data_files import data_files

FILES = {Path(path).name: text for path, text in data_files("2026-11-28", "1.2.3").items() if "/man/" not in path}
CONFIGURATION = """
[identity.chat]
[identity.self-rotating]
[upstream.rooms]
[payload.ring.ours]
[hsm.token.plexi]

[[route]]
host = "chat.example.org"
path = "/api"
"""
ASKED = [
    ("certs ro", {"rotate", "rollback"}),
    ("certs rotate --comp", {"--compromised"}),
    ("run --log-format p", {"pretty"}),
    ("run conf", {"conf.toml"}),
    ("certs rotate --config conf.toml ", {"chat", "self-rotating"}),
    ("drain --config conf.toml r", {"rooms"}),
    ("payload rotate --config conf.toml ", {"ours"}),
    ("hsm test --config conf.toml --token ", {"plexi"}),
    ("maintenance on --config conf.toml ", {"chat.example.org/api"}),
    ("completion z", {"zsh"}),
    ("hsm init-dev pl", {"place/"}),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the completions, a configuration, and a program that says how it was called."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "conf.toml").write_text(CONFIGURATION)
    (tmp_path / "place").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "plexigate"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{shlex.quote(str(tmp_path))}/called\n")
    program.chmod(0o755)
    return tmp_path


def shell(place: Path, *command: str) -> str:
    environment = {"PATH": f"{place}/bin:/usr/bin:/bin", "HOME": str(place), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout


def test_bash_offers_commands_options_files_and_names(place: Path) -> None:
    lines = ["set -u", "source ./plexigate"]
    for asked, _ in ASKED:
        words = " ".join(map(shlex.quote, ["plexigate", *asked.split(" ")]))
        lines += [f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _plexigate"]
        lines += ["printf '%s,' \"${COMPREPLY[@]}\"; echo"]
    offered = shell(place, "bash", "-c", "\n".join(lines)).splitlines()
    for (asked, expected), line in zip(ASKED, offered, strict=True):
        # readline adds the slash of a directory
        assert set(line.rstrip(",").split(",")) == {one.rstrip("/") for one in expected}, asked


def test_bash_takes_a_url_and_a_value_behind_an_equals_sign_for_one_word(place: Path) -> None:
    lines = ["source ./plexigate", "COMP_WORDS=(plexigate drain --config = conf.toml rooms http : //10.0.0.1 --sec)"]
    lines += ["COMP_CWORD=9; _plexigate; echo ${COMPREPLY[@]}"]
    lines += ["COMP_WORDS=(plexigate run --log-format = j); COMP_CWORD=4; _plexigate; echo ${COMPREPLY[@]}"]
    assert shell(place, "bash", "-c", "\n".join(lines)) == "--seconds\njson\n"


def test_fish_offers_the_same(place: Path) -> None:
    assert shell(place, "fish", "--no-execute", "plexigate.fish") == ""
    asking = "; ".join(f"complete -C 'plexigate {asked}'; echo" for asked, _ in ASKED)
    answers = shell(place, "fish", "-c", f"source plexigate.fish; {asking}").split("\n\n")
    for (asked, expected), answer in zip(ASKED, answers, strict=False):
        assert {line.partition("\t")[0] for line in answer.splitlines()} == expected, asked


def test_zsh_completes_a_command_line(place: Path) -> None:
    """In a terminal of its own, as completion is part of its line editor."""
    shell(place, "zsh", "-n", "_plexigate")
    script = """
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1=; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D'
zpty -w z $'plexigate certs rota\\t--conf\\tconf.toml self\\t; exit'
while zpty -r z line; do :; done
"""
    shell(place, "zsh", "-f", "-c", script)
    assert (place / "called").read_text() == "certs\nrotate\n--config=conf.toml\nself-rotating\n"
