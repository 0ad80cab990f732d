"""The completion of fish: all that the command line has. `tests/packages` has fish itself complete."""

from docker.building.manual.fish_completion import fish_completion
from docker.building.manual.tree import CliCommand


def test_every_command_and_option_appears(program: CliCommand) -> None:
    lines = fish_completion(program).splitlines()
    for command in program.all():
        here = " ".join(command.path)
        for option in command.options:
            for name in option.names:
                found = [one for one in lines if f" {here}' -l {name.removeprefix('--')} " in one]
                assert len(found) == 1, (here, name)
        for one in command.commands:
            assert [line for line in lines if f"'__plexigate_next {here}' -a {one.path[-1]} -d " in line], one.path


def test_kinds_of_values_are_told(small: CliCommand) -> None:
    text = fish_completion(small)
    at = "complete -c plexigate -n '__plexigate_at paint wall'"
    for line in (
        f"{at} -l colour -x -a 'red green' -d 'The colour.'",
        f"{at} -l plan -r -F -d 'A plan.'",
        f"{at} -l place -x -a '(__fish_complete_directories)' -d 'Where.'",
        f"{at} -l note -x -d 'It\\'s a note.'",
        f"{at} -l wet -d 'Dry paint.'",
    ):
        assert f"{line}\n" in text, line
    assert "complete -c plexigate -n '__plexigate_at paint doors one' -F\n" in text


def test_options_of_a_default_command_are_not_those_of_the_others(program: CliCommand) -> None:
    (line,) = (one for one in fish_completion(program).splitlines() if "_at plexigate doctor' -l all " in one)
    others = "".join(
        f"not __plexigate_at plexigate doctor {one}; and " for one in ("readiness", "standards", "examine")
    )
    assert line.startswith(f"complete -c plexigate -n '{others}__plexigate_at plexigate doctor' ")
