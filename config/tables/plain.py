"""`[plain]`: the listener without TLS, and its previous keys in `[acme]`. Pure."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import Field

from config.tables.listener import ListenerConfig
from config.values.kinds import BindAddress, Table, one_or_a_list
from config.values.omissions import Omissions
from config.values.problems import Location, Problem, Severity

PLAIN_LISTENER: Final = "plain"
"""What the listener without TLS is called in the log and the figures."""

_FORMER: Final = {"http_bind": "bind", "https_port": "https_port"}


Binds = Annotated[tuple[BindAddress, ...], one_or_a_list("0.0.0.0:80")]
Port = Annotated[int, Field(ge=1, le=65_535, strict=True)]


class PlainConfig(Table):
    """`[plain]`: `bind` are addresses without TLS. Requests for a name of an identity are sent to
    https, to `https_port`.
    """

    bind: Binds = ()
    https_port: Port = 443


class AcmeConfig(Table):
    """`[acme]`: the deprecated names of the keys of `[plain]`."""

    http_bind: Binds = ()
    https_port: Port = 443


def plain_settings(plain: PlainConfig, acme: AcmeConfig) -> PlainConfig:
    """What is in force, under the present or the deprecated names of the keys."""
    return PlainConfig(
        bind=acme.http_bind if _is_former(plain, acme, "http_bind") else plain.bind,
        https_port=acme.https_port if _is_former(plain, acme, "https_port") else plain.https_port,
    )


def plain_bind_place(plain: PlainConfig, acme: AcmeConfig) -> Location:
    return ("acme", "http_bind") if _is_former(plain, acme, "http_bind") else ("plain", "bind")


def _is_former(plain: PlainConfig, acme: AcmeConfig, former: str) -> bool:
    """Whether the file has a key under its deprecated name alone."""
    return former in acme.model_fields_set and _FORMER[former] not in plain.model_fields_set


def plain_problems(
    plain: PlainConfig, acme: AcmeConfig, listeners: Mapping[str, ListenerConfig], file: str, omissions: Omissions
) -> Iterator[Problem]:
    """The previous keys; addresses in use twice; a listener that has the name of this one."""
    for former, key in _FORMER.items():
        if former not in acme.model_fields_set:
            continue
        place = omissions.key("acme", former)
        if key in plain.model_fields_set:
            yield Problem(
                file, place, f"this key together with plain.{key}", f"only plain.{key}: it has replaced this key"
            )
        else:
            better = f"{key} in [plain], which has replaced this key"
            yield Problem(file, place, "the deprecated name of a key", better, Severity.WARNING)
    binds = plain_settings(plain, acme).bind
    where = plain_bind_place(plain, acme)
    if binds and PLAIN_LISTENER in listeners:
        found = "a name that the listener without TLS has in the log and the figures"
        yield Problem(file, omissions.key("listener", PLAIN_LISTENER), found, "another name")
    taken = {
        str(bind): omissions.key("listener", name, "bind", index)
        for name, listener in listeners.items()
        for index, bind in enumerate(listener.bind)
        if bind.port  # port 0 is another port each time
    }
    for index, bind in enumerate(binds):
        key = omissions.key(*where, index)
        first = taken.setdefault(str(bind), key)
        if first != key and bind.port:
            yield Problem(file, key, f'"{bind}", which {first} already uses', "each address and port once")
