"""The pages of section 1: all that the command line has stands in them."""

import re

from docker.building.manual.pages import manual_pages
from docker.building.manual.roff import bold, escaped, italic
from docker.building.manual.tree import CliCommand


def pages(program: CliCommand) -> dict[str, str]:
    return manual_pages(program, "2026-11-28", "1.2.3")


def test_there_is_a_page_for_the_program_and_for_each_command_and_group(small: CliCommand) -> None:
    assert list(pages(small)) == ["paint.1", "paint-wall.1", "paint-doors.1"]


def test_every_command_and_option_of_the_program_appears(program: CliCommand) -> None:
    made = pages(program)
    for command in program.all():
        page = made[f"{'-'.join(command.path[:2])}.1"]
        assert escaped(" ".join(command.path)) in page, command.path
        part = page if len(command.path) <= 2 else page.partition(f'.SS "{escaped(" ".join(command.path))}"\n')[2]
        assert part
        part = part.partition("\n.SS ")[0]
        for option in command.options:
            assert f".TP\n{', '.join(map(bold, option.names))}" in part, (command.path, option.names)
        for argument in command.arguments:
            assert f".TP\n{italic(argument.value.word)}\n" in part, (command.path, argument)


def test_page_has_the_sections_that_are_looked_for(program: CliCommand) -> None:
    made = pages(program)
    usual = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"]
    for name, page in made.items():
        sections = re.findall(r'^\.SH "(.*)"$', page, re.MULTILINE)
        assert sections[:4] == usual, name
        assert sections[-1] == "SEE ALSO"
        assert "EXIT STATUS" in sections
        assert "EXAMPLES" in sections
        assert page.startswith(f'.TH {name[:-2].upper()} 1 "2026-11-28" "Plexigate 1.2.3" "Plexigate"\n')
    sections = re.findall(r'^\.SH "(.*)"$', made["plexigate.1"], re.MULTILINE)
    assert {"FILES", "ENVIRONMENT", "COMMANDS"} <= set(sections)


def test_each_example_is_in_its_page(small: CliCommand) -> None:
    assert "paint wall north \\-\\-colour red\n" in pages(small)["paint-wall.1"]
    assert "paint doors\n" in pages(small)["paint-doors.1"]


def test_option_says_choices_default_and_repetition(small: CliCommand) -> None:
    page = pages(small)["paint-wall.1"]
    assert "\\fB\\-\\-colour\\fR \\fICOLOUR\\fR\nThe colour.\nOne of: red, green.\nThe default is green.\n" in page
    assert "It\\(aqs a note.\nIt can be given several times.\n" in page


def test_pages_refer_to_pages_that_exist(program: CliCommand) -> None:
    made = pages(program)
    for page in made.values():
        for name in re.findall(r"^\\fB(\S+)\\fR\(1\)", page, re.MULTILINE):
            assert f"{name.replace(chr(92), '')}.1" in made
