"""The shape of `[admin]`: where operators and monitoring reach the running proxy. Pure."""

from typing import Annotated

from pydantic import BeforeValidator, PlainValidator

from config.addresses import Bind, Refused, parse_bind
from config.values import Table, WrittenPath


def _listed(value: object) -> object:
    if not isinstance(value, str | Bind | list | tuple):
        raise Refused('an address and a port such as "127.0.0.1:9464", or a list of such')
    return [value] if isinstance(value, str | Bind) else value


class AdminConfig(Table):
    """`[admin]`: `socket` is the path of the Unix socket for commands (None: `admin.sock` in the
    runtime directory).

    `metrics_bind` are TCP addresses for monitoring, which can read there and change nothing.
    """

    socket: WrittenPath | None = None
    metrics_bind: Annotated[tuple[Annotated[Bind, PlainValidator(parse_bind)], ...], BeforeValidator(_listed)] = ()
