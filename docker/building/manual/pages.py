"""The manual pages of section 1: one of the program, and one of each command or group."""

from collections.abc import Iterator, Sequence
from typing import Final

from docker.building.manual import roff
from docker.building.manual.tree import CliArgument, CliCommand, CliOption, CliValue

MANUAL: Final = "Plexigate"
_STATUSES: Final = (
    ("0", "Success. A check found no fault."),
    ("1", "Failure, or a check found a fault. Standard error has the reason."),
    ("2", "The command line is wrong, or a file that it names cannot be read."),
    ("74", "Standard output was lost, for example because a disk is full."),
    ("130", "Ctrl-C ended the command."),
)
_OTHER_STATUSES: Final = "The description of a command names the statuses that only this command has."
_FILES: Final = (
    ("/etc/plexigate/plexigate.toml", "The configuration of the service, see plexigate.toml(5)."),
    ("/run/plexigate/admin.sock", "The admin socket, by which the other commands reach the running proxy."),
    ("/var/lib/plexigate/", "The state: keys and certificates that the proxy makes, what is sealed, refused PINs."),
    ("/var/log/plexigate/", "The log, if log.file of the configuration names a file there."),
)
_ENVIRONMENT: Final = (
    ("RUNTIME_DIRECTORY", "The directory of the admin socket, if the configuration names none. systemd sets it."),
    ("XDG_RUNTIME_DIR", "The same, for a proxy that a user starts by hand."),
    ("STATE_DIRECTORY", "The directory of the state, if the configuration names none. systemd sets it."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Where and how often run reports its state, see sd_notify(3)."),
    ("LISTEN_FDS, LISTEN_FDNAMES", "Sockets that run takes over, see sd_listen_fds(3)."),
    ("PLEXIGATE_PURE", "If it is 1, the sources run in place of the compiled hot path."),
    ("OPENSSL_CONF", "Is ignored: the configuration names the providers of OpenSSL."),
    ("NO_COLOR, COLUMNS", "NO_COLOR turns colour off. COLUMNS is the width of the output."),
)


def manual_pages(program: CliCommand, date: str, version: str) -> dict[str, str]:
    """All pages of section 1 by their file names."""
    pages = [program, *program.commands]
    return {f"{_name(one)}.1": _page(one, program, date, version) for one in pages}


def _page(command: CliCommand, program: CliCommand, date: str, version: str) -> str:
    is_program = command is program
    others = [one for one in program.commands if one is not command]
    lines = [
        roff.title(_name(command), 1, date, f"Plexigate {version}", MANUAL),
        roff.heading("NAME"),
        f"{roff.escaped(_name(command))} \\- {roff.escaped(_uncapitalised(command.summary))}",
        roff.heading("SYNOPSIS"),
        *_synopsis(command),
        roff.heading("DESCRIPTION"),
        *roff.paragraphs([*command.paragraphs, *([command.epilog] if command.epilog else [])]),
        *_parameters(command),
    ]
    if command.commands:
        lines.append(roff.heading("COMMANDS"))
        for one in command.commands:
            lines += _listed(one) if is_program else _described(one)
    lines += [*_examples(command, is_program=is_program), *_ending(is_program=is_program)]
    lines += [roff.heading("SEE ALSO"), ",\n".join(_references(program, others, is_program=is_program))]
    return roff.page(lines)


def _synopsis(command: CliCommand) -> Iterator[str]:
    is_first = True
    for one in command.all():
        if one.is_complete:
            yield from [".br"] * (not is_first)
            yield " ".join([roff.bold(" ".join(one.path)), *_usage(one)])
            is_first = False


def _usage(command: CliCommand) -> Iterator[str]:
    if len(command.options) > 1:
        yield f"[{roff.italic('OPTIONS')}]"
    for argument in command.arguments:
        word = roff.italic(argument.value.word) + "..." * argument.is_repeated
        yield word if argument.is_required else f"[{word}]"


def _listed(command: CliCommand) -> list[str]:
    return roff.item(roff.bold(command.path[-1]), [f"{command.summary}. See {_name(command)}(1)."])


def _described(command: CliCommand) -> Iterator[str]:
    yield roff.subheading(" ".join(command.path))
    yield from roff.paragraphs(command.paragraphs)
    yield from _parameters(command)


def _parameters(command: CliCommand) -> Iterator[str]:
    if len(command.path) <= 2:
        yield roff.heading("OPTIONS")
    for argument in command.arguments:
        yield from roff.item(roff.italic(argument.value.word), _meaning(argument, argument.value))
    for option in command.options:
        names = ", ".join(map(roff.bold, option.names))
        value = "" if option.value is None else f" {roff.italic(option.value.word)}"
        yield from roff.item(names + value, _meaning(option, option.value))


def _meaning(parameter: CliArgument | CliOption, value: CliValue | None) -> list[str]:
    texts = [parameter.meaning]
    if value is not None and value.choices:
        texts.append(f"One of: {', '.join(value.choices)}.")
    if isinstance(parameter, CliOption) and parameter.default:
        texts.append(f"The default is {parameter.default}.")
    if isinstance(parameter, CliOption) and parameter.is_required:
        texts.append("The command needs it.")
    if parameter.is_repeated:
        texts.append("It can be given several times.")
    return [" ".join(text for text in texts if text)]


def _examples(command: CliCommand, *, is_program: bool) -> Iterator[str]:
    shown = [one for one in command.all() if one.examples]
    if is_program:
        shown = [one for one in shown if one.path[1:] in {("check",), ("run",), ("reload",), ("status",)}]
    if shown:
        yield roff.heading("EXAMPLES")
    for one in shown:
        yield from roff.paragraphs([f"{one.summary}:"])
        yield from roff.literal(one.examples)


def _ending(*, is_program: bool) -> Iterator[str]:
    for name, entries in (("EXIT STATUS", _STATUSES), ("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT)):
        if not is_program and name != "EXIT STATUS":
            continue
        yield roff.heading(name)
        for term, meaning in entries:
            yield from roff.item(roff.bold(term), [meaning])
        if name == "EXIT STATUS":
            yield from roff.paragraphs([_OTHER_STATUSES])


def _references(program: CliCommand, others: Sequence[CliCommand], *, is_program: bool) -> list[str]:
    pages = [] if is_program else [(_name(program), 1)]
    pages += [(_name(one), 1) for one in others if one is not program]
    return [f"{roff.bold(name)}({section})" for name, section in [*sorted(pages), ("plexigate.toml", 5)]]


def _name(command: CliCommand) -> str:
    return "-".join(command.path)


def _uncapitalised(text: str) -> str:
    first, _, _ = text.partition(" ")
    return text if first.isupper() else text[:1].lower() + text[1:]
