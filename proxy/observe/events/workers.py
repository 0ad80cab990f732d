"""Events of worker processes. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class WorkerJoined(Event):
    """A worker serves in place of one that ended or was replaced."""

    event = "worker_joined"
    level = Level.INFORMATION

    slot: int
    """Number of the worker, from 0: a new worker takes the number of the one before."""
    pid: int
    """Process ID."""

    def sentence(self) -> str:
        return f"worker {self.slot} (process {self.pid}) serves"


@dataclass(frozen=True, slots=True)
class WorkerEnded(Event):
    """A worker ended without being asked to. Its connections are lost; the parent starts another
    one.

    Look for the event `error` before it, or for the kernel's out-of-memory killer. Report a crash.
    """

    event = "worker_ended"
    level = Level.ACTION

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""
    status: int | None
    """Exit status; negative: the number of the signal that ended it; null: unknown."""

    def sentence(self) -> str:
        status = "an unknown status" if self.status is None else f"status {self.status}"
        return f"worker {self.slot} (process {self.pid}) ended with {status}; another one is started"


@dataclass(frozen=True, slots=True)
class WorkerDisowned(Event):
    """A worker violated the protocol with its parent, and was killed. Another one is started,
    unless the worker was draining.

    A worker parses what clients send, so a client may have compromised it. Keep the log, find out
    what the worker did, and report it. `SECURITY.md` says where.
    """

    event = "worker_disowned"
    level = Level.ACTION

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""
    detail: str
    """What it sent."""

    def sentence(self) -> str:
        return f"worker {self.slot} (process {self.pid}) was killed for what it sent its parent: {self.detail}"


@dataclass(frozen=True, slots=True)
class WorkerFailed(Event):
    """A new worker did not become ready. The parent tries again, with growing pauses.

    `detail` has the reason. If it mentions the time, raise `reload_timeout`. If it mentions
    versions, restart the proxy: its files were replaced while it runs.
    """

    event = "worker_failed"
    level = Level.ACTION

    slot: int
    """Number of the worker, from 0."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"worker {self.slot} could not be started: {self.detail}"


@dataclass(frozen=True, slots=True)
class WorkerCommitFailed(Event):
    """A worker prepared a configuration and then could not serve with it. It is killed, and another
    one is started. Clients of this worker lose their connections.

    Report it with the lines around it.
    """

    event = "worker_commit_failed"
    level = Level.ACTION

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""
    detail: str
    """Reason, as the worker gave it."""

    def sentence(self) -> str:
        return (
            f"worker {self.slot} (process {self.pid}) is replaced, because it could not serve with the configuration "
            f"that it had prepared: {self.detail}"
        )


@dataclass(frozen=True, slots=True)
class WorkerGivenUp(Event):
    """A worker did not answer during a reload, so the reload continued without it. Another worker
    has its place. If it answers again, it drains.

    Look for the event `worker_stuck` before it, which has the remedies.
    """

    event = "worker_given_up"
    level = Level.WARNING

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""

    def sentence(self) -> str:
        return (
            f"worker {self.slot} (process {self.pid}) did not answer during a reload: another one has its place, "
            "and it drains if it answers again"
        )


@dataclass(frozen=True, slots=True)
class WorkerStuck(Event):
    """A worker has not answered the parent for a second. Its clients wait; new connections go to
    the other workers. If it stays silent for 30 seconds, it is replaced (`worker_hopeless`).

    Check the load of the machine, and whether a PKCS#11 module hangs.
    """

    event = "worker_stuck"
    level = Level.WARNING

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""

    def sentence(self) -> str:
        return f"worker {self.slot} (process {self.pid}) does not answer: the others accept in its place"


@dataclass(frozen=True, slots=True)
class WorkerAnswers(Event):
    """A worker that was stuck answers again, and accepts connections."""

    event = "worker_answers"
    level = Level.INFORMATION

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""

    def sentence(self) -> str:
        return f"worker {self.slot} (process {self.pid}) answers again"


@dataclass(frozen=True, slots=True)
class WorkerHopeless(Event):
    """A worker has not answered for so long that the parent kills it. Its connections are lost;
    another one is started.

    Report it, with the state of the process if you have it (`/proc/PID/stack`, `py-spy dump`).
    """

    event = "worker_hopeless"
    level = Level.ACTION

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""

    def sentence(self) -> str:
        return f"worker {self.slot} (process {self.pid}) has not answered for too long: it is killed"


@dataclass(frozen=True, slots=True)
class WorkerBlind(Event):
    """A worker cannot use a token that works for the parent. If an identity depends on the token
    there, the worker is replaced.

    If it repeats, compare the rights of the two processes: the workers may run as another user
    (`user`), which may not use the device.
    """

    event = "worker_blind"
    level = Level.WARNING

    slot: int
    """Number of the worker, from 0."""
    pid: int
    """Process ID."""
    token: str
    """Name of the token."""
    replaced: bool
    """Whether the worker is replaced. If not, each identity has another key that signs there."""

    def sentence(self) -> str:
        outcome = "it is replaced" if self.replaced else "it stays, because each identity has another key that signs"
        return f"worker {self.slot} (process {self.pid}) cannot use the token {self.token}, which works: {outcome}"
