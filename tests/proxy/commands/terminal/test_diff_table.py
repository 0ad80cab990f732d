"""The changes of a configuration, for a terminal."""

from io import StringIO

from rich.console import Console

from config.diff import Change, EffectKind
from proxy.commands.terminal.diff_table import render

RESTART = Change("openssl.providers", EffectKind.RESTART, "nothing", "oqsprovider", "providers are loaded once")
DRAINED = Change("listener.public.pq", EffectKind.DRAINED, "prefer", "require", "classical connections end")
LIVE = Change("limits.body_bytes", EffectKind.LIVE, "1", "2", "for new requests")
ALSO_LIVE = Change("identity.chat.names", EffectKind.LIVE, None, "+ [bold].test", "for new handshakes")


def printed(*changes: Change, width: int = 100) -> list[str]:
    output = StringIO()
    Console(file=output, width=width).print(render(changes))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_changes_are_grouped_by_kind_the_gravest_last() -> None:
    assert printed(RESTART, LIVE, DRAINED, ALSO_LIVE) == [
        "changes live",
        "  limits.body_bytes: 1 -> 2",
        "      for new requests",
        "  identity.chat.names: + [bold].test",
        "      for new handshakes",
        "changes live, and ends connections",
        "  listener.public.pq: prefer -> require",
        "      classical connections end",
        "needs a restart; a reload refuses it",
        "  openssl.providers: nothing -> oqsprovider",
        "      providers are loaded once",
    ]


def test_what_is_too_long_for_a_line_goes_on_below_its_beginning() -> None:
    assert printed(DRAINED, width=24)[-2:] == ["      classical", "      connections end"]


def test_nothing_changes() -> None:
    assert printed() == ["nothing changes"]
