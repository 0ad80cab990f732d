"""Tokens without hardware: their keys are in files, and a signature is made when the test says so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certs.keys.pin import Pin
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.software import SoftwareKey
from config.pkcs11_uri import Pkcs11Uri
from config.schema import CredentialPreference
from proxy.observe.tokens import TokenCounters
from proxy.signing.breaker import BreakerState
from proxy.signing.executor import Job, SigningExecutor
from proxy.signing.fair_queue import FairQueue, QueueLimits
from proxy.signing.token import Timing, Token
from proxy.tls.context import TlsSettings
from proxy.tls.race import SigningServices
from proxy.tls.signature_schemes import sigalgs_list
from proxy.tls.tickets import ticket_key
from proxy.tls.token_key import KeyContext, TokenKey
from tests.certificates import CertificateFiles
from tests.fakes import FakeLoop

SETTINGS = TlsSettings("X25519MLKEM768/X25519", "TLS_AES_128_GCM_SHA256")
SIGNATURE_ALGORITHMS = sigalgs_list(CredentialPreference.CLASSICAL)
SECRET = bytes(32)


@dataclass(frozen=True)
class KeyInFile(Pkcs11Key):
    """A key that says it is in a token, while OpenSSL finds it in a file."""

    file: Path = Path()

    @property
    def pem_path(self) -> Path:
        """The file."""
        return self.file


def token_key(files: CertificateFiles, token: str = "plexi", *, is_loaded: bool = True) -> TokenKey:  # noqa: S107 - a name
    """A key that lies in this token, as it says."""
    public = SoftwareKey.load(files.key).public_key
    key = TokenKey(
        KeyInFile(Pkcs11Uri(token=token), token, public, Pin(b"1234"), files.key), files.certificate.read_bytes()
    )
    if is_loaded:
        key.adopt(key.load())
    return key


def key_context(key: TokenKey, identity: str = "chat", settings: TlsSettings = SETTINGS) -> KeyContext:
    """What signs with it, for an identity whose tickets are made of `SECRET`."""
    return KeyContext(
        key, settings, SIGNATURE_ALGORITHMS, ticket_key(SECRET, identity, settings.fingerprint), tickets_per_handshake=2
    )


class ManualExecutor(SigningExecutor):
    """The queue of the real one, and threads that are the test."""

    def __init__(self, loop: FakeLoop, threads: int = 2, waiting: int = 4) -> None:
        super().__init__("manual", 0, _Soon(loop), loop.time)
        self._threads = threads
        self._queue = FairQueue(QueueLimits(waiting, waiting))

    @property
    def waiting(self) -> int:
        """How many are in the queue."""
        return self.figures().queued

    def start(self) -> Job[Any]:
        """A thread takes the next job."""
        assert self.waiting, "nobody asks for a signature"
        job = self._next()
        assert job is not None
        return job

    def finish(self, job: Job[Any], error: BaseException | None = None) -> None:
        """The thread is done: with the work, or with this error."""
        result: object = error
        if error is None:
            try:
                result = job.work()
            except Exception as raised:  # noqa: BLE001 - handed on, as by the real one
                result = raised
        self._running.discard(job)
        self._tell(job, result)

    def serve(self, error: BaseException | None = None) -> None:
        """Both at once."""
        self.finish(self.start(), error)


class _Soon:
    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> object:
        return self._loop.call_soon(callback, *args)


class GoodProbe:
    """Finds everything well, if anybody has it run."""

    is_complete = True

    def __call__(self) -> float:
        return 0.001


@dataclass
class RecordingWatcher:
    """What was said of tokens."""

    states: list[tuple[str, BreakerState]] = field(default_factory=list)

    def breaker_changed(self, token: str, state: BreakerState) -> None:
        """A breaker changed."""
        self.states.append((token, state))

    def needs_replacement(self, token: str) -> None:
        """Never asked for here."""
        raise AssertionError(token)


@dataclass
class Bench:
    """Tokens on a loop whose time the test makes."""

    loop: FakeLoop = field(default_factory=FakeLoop)
    watcher: RecordingWatcher = field(default_factory=RecordingWatcher)
    tokens: dict[str, Token] = field(default_factory=dict)
    executors: dict[str, ManualExecutor] = field(default_factory=dict)

    @property
    def services(self) -> SigningServices:
        """What a race needs."""
        return SigningServices(self.loop, self.loop.time, self.tokens)

    def add(self, name: str, threads: int = 2, waiting: int = 4) -> ManualExecutor:
        """One more token."""
        executor = ManualExecutor(self.loop, threads, waiting)
        token = Token(name, executor, Timing(self.loop, self.loop.time), TokenCounters(), self.watcher)
        token.use(GoodProbe())
        self.tokens[name], self.executors[name] = token, executor
        return executor
