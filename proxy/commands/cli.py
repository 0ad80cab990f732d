"""The command line: the program `plexigate`, its options, and the table of its commands."""

from typing import Annotated, Final

import typer

from proxy.commands.command_table import Entry, group_of

_COMMANDS: Final = (
    Entry(
        "run",
        "proxy.commands.run_and_check",
        "Start the proxy. SIGTERM or Ctrl-C drains and stops it; a second one stops it at once.",
    ),
    Entry(
        "check",
        "proxy.commands.run_and_check",
        "Check a configuration: the file, its certificates, keys, groups and providers. Lists the problems with file and line.",
    ),
    Entry(
        "route",
        "proxy.commands.route",
        "Show which route takes a request, and what happens to it.",
    ),
    Entry(
        "reload",
        "proxy.commands.reload",
        "Reload the configuration of the running proxy without dropping a connection, and list the changes.",
    ),
    Entry(
        "page",
        "proxy.commands.page.command",
        "Show the page of the running proxy: serve it on a loopback port until Ctrl-C.",
    ),
    Entry(
        "upgrade",
        "proxy.commands.upgrade",
        "Replace the running proxy with the installed version. No connection is refused.",
    ),
    Entry(
        "status",
        "proxy.commands.running",
        "Show the running proxy: readiness, workers, listeners, routes, upstreams, certificates, and the post-quantum share.",
    ),
    Entry(
        "drain",
        "proxy.commands.running",
        "Take a server out of service: it gets no new requests. Its WebSockets are closed after --seconds.",
    ),
    Entry("undrain", "proxy.commands.running", "Return a drained server to service."),
    Entry(
        "password",
        "proxy.commands.password",
        "Write the line of a user for the file that basic_auth of a route names.",
    ),
    Entry(
        "completion",
        "proxy.commands.completion",
        "Print the completion of a shell, for an installation whose shells do not find it.",
    ),
    Entry(
        "doctor",
        "proxy.commands.doctor.commands",
        "Find faults and their remedies: plexigate doctor [FILE].",
    ),
    Entry("audit", "proxy.commands.audit.verify", "Verify the audit log of key operations."),
    Entry("maintenance", "proxy.commands.control.maintenance", "Take routes out of service, and list them."),
    Entry("payload", "proxy.commands.payload", "Manage the keys that encrypt message bodies."),
    Entry("alerts", "proxy.commands.control.alerts", "List the open alerts: faults that require operator action."),
    Entry(
        "backup",
        "proxy.commands.backup.commands",
        "Make, verify, list and restore encrypted backups of all state.",
    ),
    Entry("fleet", "proxy.commands.control.fleet", "Show the fleet of this node, and let nodes join it."),
    Entry("hsm", "proxy.commands.hsm.commands", "Manage HSM tokens, their keys, and the sealing key."),
    Entry(
        "certs",
        "proxy.commands.certs.commands",
        "Manage certificates that rotate automatically: list, rotate now, roll back, check, trust.",
    ),
)

app = typer.Typer(
    name="plexigate",
    cls=group_of(_COMMANDS),
    help="A TLS 1.3 reverse proxy for chat servers, with post-quantum hybrid key exchange.",
    epilog="Start with: plexigate check FILE, then: plexigate run FILE. The manual page plexigate.toml(5) explains every key of FILE.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)


def _show_version(is_asked: bool | None) -> None:  # noqa: FBT001 - the signature of a typer callback
    if is_asked:
        from importlib.metadata import version

        from proxy.processes.hot_path import hot_path
        from proxy.tls.openssl.driver import driver_name

        # the sources have no native driver
        slower = ", TLS by the standard library" if hot_path() == "compiled" and driver_name() != "native" else ""
        typer.echo(f"plexigate {version('plexigate')} (hot path {hot_path()}{slower})")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool | None,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version, and whether the hot path is compiled.",
        ),
    ] = None,
) -> None:
    """Options before the command."""
