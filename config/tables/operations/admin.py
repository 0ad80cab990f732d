"""The shape of `[admin]`: where operators and monitoring reach the running proxy. Pure."""

from typing import Annotated

from pydantic import AfterValidator

from config.values.addresses import Refused
from config.values.kinds import BindAddress, Table, WrittenPath, one_or_a_list

# unix(7): sun_path holds 108 octets with its final NUL. The socket is bound under a longer name
# first, which ends in the process id of up to 7 digits.
_LONGEST_PATH = 107 - len(".4194304")


def _parse_page_socket(value: str) -> str:
    if not value.startswith("/") or len(value.encode()) > _LONGEST_PATH:
        raise Refused(f"an absolute path of at most {_LONGEST_PATH} bytes, such as /run/plexigate/page.sock")
    return value


class AdminConfig(Table):
    """`[admin]`: `socket` is the path of the Unix socket for commands (None: `admin.sock` in the
    runtime directory).

    `metrics_bind` are TCP addresses for monitoring, which can read there and change nothing.
    `page_socket` is the Unix socket on which the workers reach the admin page, for routes with
    `admin_page`.
    """

    socket: WrittenPath | None = None
    page_socket: Annotated[WrittenPath, AfterValidator(_parse_page_socket)] | None = None
    metrics_bind: Annotated[tuple[BindAddress, ...], one_or_a_list("127.0.0.1:9464")] = ()
