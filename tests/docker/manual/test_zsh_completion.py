"""The completion of zsh: all that the command line has. `tests/packages` has zsh itself complete."""

from docker.building.manual.tree import CliCommand
from docker.building.manual.zsh_completion import zsh_completion


def test_every_command_and_option_appears(program: CliCommand) -> None:
    text = zsh_completion(program)
    for command in program.all():
        part = text.partition(f"\n_{'_'.join(command.path).replace('-', '_')}() {{\n")[2].partition("\n}\n")[0]
        assert part, command.path
        for option in command.options:
            for name in option.names:
                assert f"{name}=[" in part if option.value else f"{name}[" in part, (command.path, name)
        for one in command.commands:
            assert f"'{one.path[-1]}:" in part


def test_kinds_of_values_are_told(small: CliCommand) -> None:
    text = zsh_completion(small)
    for spec in (
        "'--colour=[The colour.]:COLOUR:(red green)'",
        "'--plan=[A plan.]:FILE:_files'",
        "'--place=[Where.]:DIRECTORY:_files -/'",
        "'*--note=[It'\\''s a note.]:NOTE: '",
        "'--wet[Dry paint.]'",
        "':UPSTREAM:{_plexigate_names upstream}'",
        "'*:FILE:_files'",
        "'doors:Doors\\: one or all'",
    ):
        assert f" {spec}" in text, spec


def test_a_group_with_a_default_command_offers_its_argument_too(program: CliCommand) -> None:
    part = zsh_completion(program).partition("_plexigate_doctor() {")[2].partition("\n}")[0]
    assert "_describe command commands && ret=0\n      _files && ret=0" in part
