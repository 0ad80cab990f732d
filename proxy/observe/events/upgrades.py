"""Events of upgrades in place. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class UpgradeBegun(Event):
    """`plexigate upgrade` was called: this process has started the new program."""

    event = "upgrade"
    level = Level.INFORMATION

    program: str
    """The program file."""
    pid: int
    """Process ID of the new process."""

    def sentence(self) -> str:
        return f"upgrade: started {self.program}, process {self.pid}"


@dataclass(frozen=True, slots=True)
class UpgradeServing(Event):
    """In an upgrade, the workers of the new process accept connections. The process that writes
    this accepts no more, and watches the new one for some seconds before it leaves."""

    event = "upgrade_serving"
    level = Level.INFORMATION

    pid: int
    """Process ID of the new process."""
    version: str
    """Version of the new program."""

    def sentence(self) -> str:
        return f"upgrade: process {self.pid} serves by version {self.version}"


@dataclass(frozen=True, slots=True)
class UpgradeFailed(Event):
    """The new process of an upgrade did not become ready. The process that writes this serves as
    before, and no connection was refused.

    Correct what `reason` says and run `plexigate upgrade` again. If the new configuration is at
    fault, `plexigate check FILE` of the new version shows it.
    """

    event = "upgrade_failed"
    level = Level.ACTION

    phase: str
    """`preparing`: before the new process served. `proving`: it served, and connections that it had
    accepted may be lost if it crashed. `leaving`: it had the state, and did not confirm that it
    owns everything."""
    reason: str
    """What happened."""

    def sentence(self) -> str:
        return f"upgrade failed while {self.phase}, the previous process serves as before: {self.reason}"


@dataclass(frozen=True, slots=True)
class UpgradeStopped(Event):
    """A shutdown was requested during an upgrade. The new process ends, and the process that
    writes this drains and ends too.
    """

    event = "upgrade_stopped"
    level = Level.INFORMATION

    phase: str
    """As in `upgrade_failed`."""
    reason: str
    """Why the upgrade was aborted."""

    def sentence(self) -> str:
        return f"upgrade aborted while {self.phase}: {self.reason}; both processes end"


@dataclass(frozen=True, slots=True)
class UpgradeLeft(Event):
    """An upgrade succeeded: this process ends, and another one serves. The workers of this process
    finish their connections within `limits.drain_timeout`."""

    event = "upgrade_left"
    level = Level.INFORMATION

    pid: int
    """Process ID of the process that serves."""

    def sentence(self) -> str:
        return f"upgrade: process {self.pid} has taken over; this process ends, its workers drain"


@dataclass(frozen=True, slots=True)
class UpgradeTakenOver(Event):
    """An upgrade succeeded: the process that writes this serves in place of an older one."""

    event = "upgraded"
    level = Level.INFORMATION

    version: str
    """Version of this program."""
    workers: int
    """Workers of the older process that still drain."""

    def sentence(self) -> str:
        return f"upgraded: version {self.version} serves; {self.workers} workers of the previous process drain"
