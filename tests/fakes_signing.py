"""Tokens for tests: threads that run when the test says so, keys in files that pass for keys in tokens, and a watcher."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certs.hsm.secret import Secret
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.signing.breaker import BreakerState
from proxy.signing.executor import CrowdedOut, ExecutorFigures, GivenUp, Job, JobRefusal
from proxy.signing.token import SigningToken, Timing, TokenPinRefused
from proxy.signing.token_counters import TokenCounters
from proxy.tls.tokens.token_key import TokenKey
from tests.certificates import CertificateFiles
from tests.fakes import FakeLoop


class HandExecutor:
    """The threads of a token, as a test moves them: `waiting` are those in the queue, `running` those that have begun."""

    def __init__(self, loop: FakeLoop, threads: int = 2) -> None:
        self._loop = loop
        self.threads = threads
        self.waiting: list[Job[Any]] = []
        self.running: list[Job[Any]] = []
        self.refuses: JobRefusal | None = None
        self.is_closed = False
        self.lost = 0

    def submit(self, job: Job[Any], typical_seconds: float) -> JobRefusal | None:
        """Take it, and begin it where a thread is free."""
        assert typical_seconds > 0
        if self.refuses is None:
            self.waiting.append(job)
            self._begin()
        return self.refuses

    def submit_urgent(self, job: Job[Any]) -> JobRefusal | None:
        """The same, before all others."""
        if self.refuses is None:
            self.waiting.insert(0, job)
            self._begin()
        return self.refuses

    def _begin(self) -> None:
        while self.waiting and len(self.running) < self.threads:
            job = self.waiting.pop(0)
            job.started = self._loop.now
            self.running.append(job)

    def finish(self, error: BaseException | None = None, place: int = 0) -> None:
        """Let a job that runs come to its end: by its own work, or by this error."""
        job = self.running.pop(place)
        result: object = error
        if error is None:
            try:
                result = job.work()
            except BaseException as raised:  # noqa: BLE001 - as the threads do
                result = raised
        self._begin()
        self._loop.call_soon(job.settled, job, result)
        self._loop.settle()

    def cancel(self, job: Job[Any]) -> bool:
        """Take it out of the queue."""
        if job in self.waiting:
            self.waiting.remove(job)
            return True
        return False

    def crowd_out(self) -> None:
        """Have the newest in the queue give way."""
        job = self.waiting.pop()
        self._loop.call_soon(job.settled, job, CrowdedOut())
        self._loop.settle()

    def give_up_waiting(self) -> None:
        """Tell those in the queue."""
        for job in self.waiting:
            self._loop.call_soon(job.settled, job, GivenUp())
        self.waiting.clear()

    @property
    def has_idle_thread(self) -> bool:
        """Whether a job would begin at once."""
        return len(self.running) < self.threads

    def figures(self) -> ExecutorFigures:
        """What is going on."""
        return ExecutorFigures(self.threads, len(self.waiting), len(self.running), self.lost, self.threads)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


class HandProbe:
    """A probe with the outcome that a test gives it: seconds, or an exception."""

    def __init__(self) -> None:
        self.outcome: float | BaseException = 0.004
        self.missing: frozenset[str] = frozenset()
        self.calls = self.calls_anew = 0

    def __call__(self) -> float:
        """Answer as told."""
        self.calls += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def anew(self) -> float:
        """The same, and counted."""
        self.calls_anew += 1
        return self()

    def check(self) -> float:
        """The same."""
        return self()


@dataclass
class RecordingWatcher:
    """Notes what becomes of tokens."""

    states: list[tuple[str, BreakerState]] = field(default_factory=list)
    missing: list[frozenset[str]] = field(default_factory=list)

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        """Note it."""
        self.states.append((token, state))

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        """Note it."""
        assert token
        self.missing.append(keys)


@dataclass
class HandToken:
    """A token whose threads and probe a test moves."""

    token: SigningToken
    executor: HandExecutor
    probe: HandProbe
    watcher: RecordingWatcher

    @classmethod
    def make(cls, loop: FakeLoop, name: str = "plexi", threads: int = 2, *, has_parent: bool = False) -> "HandToken":
        """A token that has not signed yet."""
        executor, watcher, probe = HandExecutor(loop, threads), RecordingWatcher(), HandProbe()
        timing = Timing(loop, loop.time)
        token = SigningToken(name, executor, timing, TokenCounters(), watcher, has_parent=has_parent)
        token.use(probe)
        return cls(token, executor, probe, watcher)


@dataclass(frozen=True)
class KeyInFile:
    """A key in a file that says it is in a token; while `is_away`, OpenSSL finds no key where it is."""

    token: str
    file: Path
    is_away: Callable[[], bool] = lambda: False
    location: str = "pkcs11:token=plexi;object=chat"
    uri: Pkcs11Uri = Pkcs11Uri("plexi", object="chat")  # noqa: RUF009 - it never changes
    openssl_uri: str = "pkcs11:token=plexi;object=chat?pin-value=1234"
    pin: Secret = field(default_factory=lambda: Secret("1234"))

    @property
    def pem_path(self) -> Path:
        """The file, or one without a key."""
        return Path(os.devnull) if self.is_away() else self.file


def _is_here() -> bool:
    return False


def token_key(
    files: CertificateFiles,
    token: str = "plexi",  # noqa: S107 - a name
    *,
    is_loaded: bool = True,
    is_away: Callable[[], bool] = _is_here,
) -> TokenKey:
    """A key that passes for one in a token."""
    key = TokenKey(KeyInFile(token, files.key, is_away), files.certificate.read_bytes())
    if is_loaded:
        key.adopt(key.load())
    return key


__all__ = ["HandExecutor", "HandProbe", "HandToken", "KeyInFile", "RecordingWatcher", "TokenPinRefused", "token_key"]


class SilentParent:
    """A parent of a worker to whom it makes no difference what the worker says."""

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        """Do nothing about it."""

    def keys_missing(self, token: str, keys: frozenset[str]) -> None:
        """Do nothing about it."""

    def retire(self) -> None:
        """It is not asked in these tests."""

    def let_go(self, seconds: float) -> None:
        """Do nothing about it."""
