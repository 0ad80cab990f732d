"""The completion of bash: all that the command line has. `tests/packages` has bash itself complete."""

from proxy.commands.manual.bash_completion import bash_completion
from proxy.commands.manual.tree import CliCommand


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
