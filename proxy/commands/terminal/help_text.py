"""The help of commands as whole paragraphs: the terminal breaks their lines, not the source."""

import inspect

import typer


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
