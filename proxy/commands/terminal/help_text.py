"""The help of commands as whole paragraphs: the terminal breaks their lines, not the source."""

import inspect

import typer
from typer._click.formatting import HelpFormatter
from typer.core import TyperGroup


class WholeSentences(TyperGroup):
    """A group whose help lists each command with its first paragraph, and cuts none short."""

    def format_commands(self, _ctx: object, formatter: HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary_of(name)) for name in self.commands])

    def summary_of(self, name: str) -> str:
        """The first paragraph of the help of a command."""
        return summary(self.commands[name].help or "")


def unwrap(app: typer.Typer) -> None:
    """Give each command of a program the text of its docstring without the line breaks."""
    for command in app.registered_commands:
        if command.help is None and command.callback is not None:
            command.help = paragraphs(command.callback.__doc__ or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            unwrap(group.typer_instance)


def paragraphs(docstring: str) -> str:
    """A docstring with each paragraph in one line."""
    return "\n\n".join(" ".join(one.split()) for one in inspect.cleandoc(docstring).split("\n\n"))


def summary(text: str) -> str:
    """The first paragraph of a help."""
    return text.partition("\n\n")[0]
