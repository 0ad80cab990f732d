"""Shell that reads names from the configuration, for completions.

Starting the program at each press of TAB would take half a second; sed and awk take a few
milliseconds. They read what is written in the usual way, one table header or key in a line.
"""

from typing import Final

DEFAULT_FILE: Final = "/etc/plexigate/plexigate.toml"
"""The configuration, if the command line names none."""
_ROUTES: Final = (
    r"""awk -F'"' '/^\[/ { if (host) print host path; host = ""; path = "/"; inside = /^\[\[route\]\]/ } """
    r"""inside && /^host *=/ { host = $2 } inside && /^path *=/ { path = $2 } END { if (host) print host path }'"""
)

_SERVERS: Final = (
    r"""awk '/^\[/ { inside = /^\[upstream\./; on = 0 } inside && /^servers *=/ { on = 1 } on { left = $0; """
    r"""while (match(left, /"(https?|tcp|tls|unix):[^"]*"/)) { print substr(left, RSTART + 1, RLENGTH - 2); """
    r"""left = substr(left, RSTART + RLENGTH) } } on && /\] *(#.*)?$/ { on = 0 }'"""
)


def reading_names(table: str, file: str) -> str:
    """A command that prints the names of a table, one in a line; `file` is a word of shell.

    A route has the name that `plexigate maintenance on` takes: its host and its path. The servers
    are those of all upstreams, as `plexigate drain` takes them.
    """
    if table == "route":
        return f"{_ROUTES} {file} 2>/dev/null"
    if table == "upstream.servers":
        return f"{_SERVERS} {file} 2>/dev/null | sort -u"
    header = table.replace(".", r"\.")
    return rf"sed -n 's/^\[\[*{header}\.\([A-Za-z0-9_-]*\).*/\1/p' {file} 2>/dev/null | sort -u"
