"""The completion of bash: all that the command line has. `tests/packages` has bash itself complete."""

import subprocess
from pathlib import Path

from docker.building.manual.bash_completion import bash_completion
from docker.building.manual.tree import CliCommand


def test_every_command_and_option_appears(program: CliCommand) -> None:
    text = bash_completion(program)
    for command in program.all():
        part = text.partition(f'"{" ".join(command.path)}")\n')[2].partition(";;")[0]
        assert part, command.path
        for option in command.options:
            for name in option.names:
                assert f"{name}=" in part if option.value else name in part.replace('"', " ").split(), (part, name)
        for one in command.commands:
            assert one.path[-1] in part.partition("commands=")[2].partition("\n")[0]


def test_kinds_of_values_are_told(small: CliCommand) -> None:
    text = bash_completion(small)
    assert 'options="--colour=choice:red,green --plan=file --place=directory --note=text"' in text
    assert 'switches="--dry --wet --help"' in text
    assert "arguments=(name:upstream)" in text
    assert "arguments=(file...)" in text


def completed(program: CliCommand, directory: Path, *words: str) -> list[str]:
    """What bash itself offers for the last word, in a directory."""
    script = f'{bash_completion(program)}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _plexigate\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    command = ["bash", "-c", script, "bash", "plexigate", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=directory, check=False)
    return sorted(done.stdout.split())


def test_doctor_takes_a_file_in_the_place_of_a_command(program: CliCommand, tmp_path: Path) -> None:
    (tmp_path / "p.toml").touch()
    assert completed(program, tmp_path, "doctor", "") == ["examine", "p.toml", "readiness", "standards"]
    assert completed(program, tmp_path, "doctor", "p.toml", "--a") == ["--all"]
    assert completed(program, tmp_path, "doctor", "readiness", "--a") == []


def test_names_of_servers_are_completed_over_their_colons(program: CliCommand, tmp_path: Path) -> None:
    text = '[upstream.a]\nservers = ["http://10.0.0.1:80", "http://10.0.0.2:80"]\n'
    (tmp_path / "p.toml").write_text(text)
    drain = ("drain", "--config", "p.toml", "a")
    assert completed(program, tmp_path, *drain, "") == ["http://10.0.0.1:80", "http://10.0.0.2:80"]
    assert completed(program, tmp_path, *drain, "http", ":") == ["//10.0.0.1:80", "//10.0.0.2:80"]
    assert completed(program, tmp_path, *drain, "http", ":", "//10.0.0.2") == ["//10.0.0.2:80"]
    assert completed(program, tmp_path, *drain, "http", ":", "//10.0.0.2", ":", "8") == ["80"]
    assert "--seconds" in completed(program, tmp_path, *drain, "http", ":", "//10.0.0.2", ":", "80", "--")
