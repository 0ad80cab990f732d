"""Events of the counts that `plexigate doctor readiness` reads. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class AdoptionSetAside(Event):
    """At a start: the file with the handshakes of the last 30 days cannot be used. The proxy
    renamed it and counts again.

    If the file is from a newer version, put it back before you run that version. Otherwise look
    for a fault of the disk, and delete the renamed file.
    """

    event = "adoption_set_aside"
    level = Level.WARNING

    file: str
    """Path of the file."""
    found: str
    """What it has."""
    kept_as: str
    """Its new path."""

    def sentence(self) -> str:
        return f"{self.file} has {self.found}: it is now {self.kept_as}, and the counts of handshakes start again"


@dataclass(frozen=True, slots=True)
class AdoptionNotKept(Event):
    """The handshakes of the last 30 days cannot be read from disk, or written to it. The proxy
    continues, and tries again every 5 minutes. A restart loses what is not on disk.

    Let the proxy write to the directory: `rotation.state`, or StateDirectory= of systemd. Look for
    a full disk.
    """

    event = "adoption_not_kept"
    level = Level.WARNING

    file: str
    """Path of the file."""
    reason: str
    """What the system says."""

    def sentence(self) -> str:
        return f"{self.file}: {self.reason}: a restart will forget the counts of handshakes by day"
