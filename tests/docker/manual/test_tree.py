"""The command line as values: what the program has, as it is typed."""

from docker.building.manual.tree import CliCommand, CliValue, ValueKind


def test_commands_are_named_as_they_are_typed_and_hidden_ones_are_left_out(small: CliCommand) -> None:
    assert [" ".join(one.path) for one in small.all()] == ["paint", "paint wall", "paint doors", "paint doors one"]
    assert [one.is_complete for one in small.all()] == [False, True, True, True]


def test_texts_are_paragraphs_without_the_marks_of_rich(small: CliCommand) -> None:
    wall = small.commands[0]
    assert wall.paragraphs == ("Paint a wall. Twice.", "It dries in an hour.")
    assert wall.summary == "Paint a wall"
    assert wall.arguments[0].meaning == "Which [upstream] it is."
    assert (small.epilog, small.examples) == ("Buy paint first.", ())
    assert (wall.epilog, wall.examples) == ("", ("paint wall north --colour red",))


def test_options_have_names_values_and_defaults(small: CliCommand) -> None:
    found = {one.names: one for one in small.commands[0].options}
    assert list(found) == [
        *[("--colour",), ("--plan",), ("--place",), ("--note",)],
        *[("--dry", "--wet"), ("--help",)],
    ]
    colour, note = found["--colour",], found["--note",]
    assert colour.value == CliValue("COLOUR", ValueKind.CHOICE, ("red", "green"))
    assert (colour.default, colour.is_repeated) == ("green", False)
    assert (note.value, note.is_repeated) == (CliValue("NOTE", ValueKind.TEXT), True)
    assert found["--dry", "--wet"].value is None
    assert found["--plan",].value == CliValue("FILE", ValueKind.FILE)
    assert found["--place",].value == CliValue("DIRECTORY", ValueKind.DIRECTORY)


def test_arguments_that_are_names_of_the_configuration_know_their_table(program: CliCommand, small: CliCommand) -> None:
    assert small.commands[0].arguments[0].value == CliValue("UPSTREAM", ValueKind.NAME, table="upstream")
    tables = {
        " ".join(one.path[1:]): argument.value.table
        for one in program.all()
        for argument in one.arguments
        if argument.value.kind is ValueKind.NAME
    }
    assert tables["certs rotate"] == "identity"
    assert tables["payload rotate"] == "payload.ring"
    assert tables["maintenance on"] == "route"
    assert "password" not in tables


def test_repeated_arguments_are_known(small: CliCommand) -> None:
    (doors,) = small.commands[1].commands[0].arguments
    assert doors.is_repeated
    assert doors.is_required


def test_each_command_and_option_of_the_program_says_what_it_is_for(program: CliCommand) -> None:
    for command in program.all():
        assert command.paragraphs, command.path
        assert all(one.meaning for one in command.arguments), command.path
        assert all(one.meaning for one in command.options), command.path


def test_a_group_takes_what_its_default_command_takes(program: CliCommand) -> None:
    (doctor,) = (one for one in program.commands if one.path[-1] == "doctor")
    assert (doctor.default, doctor.is_complete) == ("examine", True)
    (examine,) = (one for one in doctor.commands if one.path[-1] == "examine")
    assert (doctor.arguments, doctor.options) == (examine.arguments, examine.options)
