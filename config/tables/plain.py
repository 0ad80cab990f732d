"""`[plain]`: the listener without TLS. Pure."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import Field

from config.tables.listener import ListenerConfig
from config.values.kinds import BindAddress, Table, one_or_a_list
from config.values.omissions import Omissions
from config.values.problems import Problem

PLAIN_LISTENER: Final = "plain"
"""What the listener without TLS is called in the log and the figures."""


class PlainConfig(Table):
    """`[plain]`: `bind` are addresses without TLS. Requests for a name of an identity are sent to
    https, to `https_port`.
    """

    bind: Annotated[tuple[BindAddress, ...], one_or_a_list("0.0.0.0:80")] = ()
    https_port: int = Field(default=443, ge=1, le=65_535, strict=True)


def plain_problems(
    plain: PlainConfig, listeners: Mapping[str, ListenerConfig], file: str, omissions: Omissions
) -> Iterator[Problem]:
    """Addresses in use twice; a listener that has the name of this one."""
    if plain.bind and PLAIN_LISTENER in listeners:
        found = "a name that the listener without TLS has in the log and the figures"
        yield Problem(file, omissions.key("listener", PLAIN_LISTENER), found, "another name")
    taken = {
        str(bind): omissions.key("listener", name, "bind", index)
        for name, listener in listeners.items()
        for index, bind in enumerate(listener.bind)
        if bind.port  # port 0 is another port each time
    }
    for index, bind in enumerate(plain.bind):
        key = omissions.key("plain", "bind", index)
        first = taken.setdefault(str(bind), key)
        if first != key and bind.port:
            yield Problem(file, key, f'"{bind}", which {first} already uses', "each address and port once")
