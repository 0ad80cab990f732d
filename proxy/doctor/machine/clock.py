"""The clock of this machine: a wrong one makes valid certificates invalid.

It is held against what has a clock of its own or was made at a known time: the running proxy, the
certificates of the configuration, and the kernel's view of NTP (adjtimex(2)).
"""

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from config.loading.files import files_of
from config.loading.loaded import LoadedConfig
from proxy.api.status import StatusDocument
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge

_CLOCK: Final = Judge("clock")
_SET_IT: Final = "Set the clock and keep it right: timedatectl set-ntp true, or install chrony."
# Linux, include/uapi/linux/timex.h
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5
# struct timex has 208 octets on 64-bit systems; `status` is behind three longs and an int's padding
_TIMEX_BYTES: Final = 512
_STATUS_OFFSET: Final = 40
_APART: Final = timedelta(seconds=30)
_GRAVE: Final = timedelta(minutes=5)
_RELEASED: Final = datetime(2025, 4, 8, tzinfo=UTC)
"""OpenSSL 3.5, without which nothing runs, was released on this day."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What adjtimex(2) says: whether something steers the clock."""

    is_synchronised: bool


def kernel_clock() -> KernelClock | None:
    """Ask the kernel; None if this system does not let us ask."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = libc.adjtimex(buffer)
    if state < 0:
        return None
    status = ctypes.c_int.from_buffer(buffer, _STATUS_OFFSET).value
    return KernelClock(is_synchronised=state != _TIME_ERROR and not status & _STA_UNSYNC)


def clock_findings(
    now: datetime, kernel: KernelClock | None, others: Mapping[str, datetime], issued: Mapping[str, datetime]
) -> Iterator[Finding]:
    """Judge the clock by other clocks (`others`), and by when certificates were issued."""
    if now < _RELEASED:
        yield _CLOCK.failure("this machine", f"{now:%Y-%m-%d %H:%M} UTC, before OpenSSL 3.5 existed", _SET_IT)
    match kernel:
        case None:
            yield _CLOCK.unknown("synchronisation", "the kernel does not report it (adjtimex is not permitted)")
        case KernelClock(is_synchronised=True):
            yield _CLOCK.ok("synchronisation", f"the kernel's clock is steered (NTP); {now:%Y-%m-%d %H:%M:%S} UTC")
        case _:
            found = "the kernel says that nothing steers this clock: it will drift"
            yield _CLOCK.warning("synchronisation", found, f"{_SET_IT} In a container or VM the host may do it.")
    for name, time in others.items():
        yield clock_finding(_CLOCK, name, now - time)
    for name, time in issued.items():
        if time > now + _APART:
            found = f"it was issued {_span(time - now)} in the future ({time:%Y-%m-%d %H:%M} UTC)"
            yield _CLOCK.failure(name, found, f"{_SET_IT} If the clock is right, the certificate is not valid yet.")


def clock_finding(judge: Judge, name: str, apart: timedelta) -> Finding:
    """Judge by how much this clock is ahead of that of `name`."""
    way = "ahead of" if apart > timedelta() else "behind"
    found = f"this clock is {_span(abs(apart))} {way} it"
    if abs(apart) > _GRAVE:
        return judge.failure(name, found, _SET_IT)
    if abs(apart) > _APART:
        return judge.warning(name, found, _SET_IT)
    return judge.ok(name, f"both clocks agree within {_span(_APART)}")


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    for size, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"


def issue_times(loaded: LoadedConfig) -> Iterable[tuple[str, datetime]]:
    """When the certificates that a configuration names begin to be valid."""
    for file in files_of(loaded):
        if file.key.rpartition(".")[2] in {"certificate", "ca"} and not file.is_directory:
            try:
                yield f"certificate {file.path}", max(one.not_valid_before_utc for one in read_chain(file.path))
            except CredentialError:
                continue  # told by the check of the configuration


def _clock(examined: Examined) -> Iterator[Finding]:
    others: dict[str, datetime] = {}
    if examined.status is not None:
        others["the running proxy"] = time_of(examined.status)
    issued = {} if examined.configured is None else dict(issue_times(examined.configured))
    yield from clock_findings(examined.now(), kernel_clock(), others, issued)


def time_of(status: StatusDocument) -> datetime:
    """What the clock of the running proxy said when it answered."""
    return datetime.fromtimestamp(status["started_at"] + status["uptime_seconds"], UTC)


CLOCK: Final = (Checkup("clock", Area.MACHINE, _clock),)
