"""`[ct]`: Certificate Transparency (RFC 6962). Pure."""

from datetime import timedelta
from typing import Annotated, ClassVar

from config.values.durations import Duration
from config.values.kinds import ONE_OR_A_LIST, OwnFilePath, Table, WebAddress, matching

Serial = Annotated[
    str, matching(r"[1-9a-f][0-9a-f]{0,39}", "a serial number in hexadecimal, in lower case, as the alert has it")
]


class CtConfig(Table):
    """`[ct]`: `log_list` are the logs that browsers know, in the format of Chrome and Apple; None:
    neither timestamps nor tree heads are verified. `watch` are the addresses of logs in which
    certificates for our names are looked for, each time that `watch_every` has passed.
    `known_serials` are those of certificates that were ordered elsewhere.
    """

    lists_of_one: ClassVar[tuple[str, ...]] = ("watch",)

    log_list: OwnFilePath | None = None
    watch: Annotated[tuple[WebAddress, ...], ONE_OR_A_LIST] = ()
    watch_every: Duration = timedelta(minutes=10)
    known_serials: tuple[Serial, ...] = ()
