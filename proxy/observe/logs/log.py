"""The log of a process: requests and events become lines in the configured form."""

import json
from datetime import UTC, datetime
from typing import assert_never

from config.tables.operations.log import LogFormat
from proxy.observe.events.clients import ConnectionCut, HandshakeFailed
from proxy.observe.events.event import Event
from proxy.observe.events.relays import PassthroughClosed, TcpClosed
from proxy.observe.logs.access_log import JsonLines, PrettyLines, RequestRecord
from proxy.observe.logs.combined_lines import CombinedLines
from proxy.observe.logs.log_writer import COLLECT_SECONDS, LogWriter


class Log:
    """The log of one process. No method but `close` waits."""

    def __init__(self, writer: LogWriter, form: LogFormat, *, has_colours: bool) -> None:
        self._writer = writer
        self._has_colours = has_colours
        self._use(form)

    def _use(self, form: LogFormat) -> None:
        # An operator reads the lines of all processes in one order. Programs sort by `time`.
        self._writer.collect_seconds = 0.0 if form is LogFormat.PRETTY else COLLECT_SECONDS
        match form:
            case LogFormat.JSON:
                self._lines: JsonLines | PrettyLines | CombinedLines = JsonLines()
            case LogFormat.PRETTY:
                from rich.console import Console  # imported here: as in `PrettyLines`

                self._lines = PrettyLines(
                    Console(force_terminal=self._has_colours, no_color=not self._has_colours, width=200)
                )
            case LogFormat.COMBINED:
                self._lines = CombinedLines()
            case _:
                assert_never(form)

    def switch(self, descriptor: int, form: LogFormat) -> None:
        """Write to another descriptor in another form; the log closes the descriptor at its end."""
        self._use(form)
        self._writer.switch(descriptor)

    def close(self, seconds: float) -> bool:
        """Write the queue within `seconds`; return whether all was written. Log no more then."""
        return self._writer.close(seconds)

    def losses(self) -> tuple[int, int]:
        """Return the lost lines and the failed attempts to write, since the start."""
        return self._writer.dropped + self._writer.unwritten, self._writer.errors

    def request(self, record: RequestRecord) -> None:
        line = self._lines.request(record)
        if line:
            self._writer.write(line)

    def event(self, now: float, event: Event) -> None:
        """Log an event. `now` in UNIX seconds."""
        if isinstance(event, HandshakeFailed | ConnectionCut | TcpClosed | PassthroughClosed):
            self._writer.write(self._lines.event(now, event))
            return
        if isinstance(self._lines, PrettyLines):
            self._writer.write(self._lines.sentences(now, event.lines()))
            return
        time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._writer.write(json.dumps({"time": time, **event.as_json()}).encode() + b"\n")
