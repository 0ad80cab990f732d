"""The tokens of the configuration: reachable, logged in to, and each key signs.

A signature is made with each key that an identity uses, by the same trial as that of the running
proxy. Nothing is made or changed in the token. A refused PIN is latched, so that it is tried once.
"""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import HsmError, PinFinalTry, PinLatched, PinRefused
from certs.hsm.facts import PinState, TokenFacts
from certs.identities.identities import load_credentials
from certs.keys.pin import read_pins
from certs.rotation.parts import parts_of
from certs.sealing.errors import SealingError
from certs.storage.served import served_files
from certs.tokens.token_use import TokenUse, TriedKey, token_uses
from certs.tokens.trial import trial
from config.loading.loaded import LoadedConfig
from config.loading.reading import FileContent
from config.tables.rotation import IssuedCredential
from config.values.problems import ConfigError, printable
from proxy.api.status import StatusDocument
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.side_by_side import side_by_side
from proxy.processes.material import Material
from proxy.signing.breaker import BreakerState

_TOKENS: Final = Judge("tokens")
_SECONDS: Final = 25.0
_MOST_SIGNATURES: Final = 20
_MEASURED_SECONDS: Final = 1.0
# A handshake waits for its signature: clients notice more than this.
_SLOW_SECONDS: Final = 0.25


class TokenLook:
    """What one look at a token has shown: its facts, and how long signatures of each key took."""

    def __init__(self, facts: TokenFacts, seconds: Mapping[str, list[float] | HsmError]) -> None:
        """`seconds` is by the name of the key in the token; an error is why it does not sign."""
        self.facts: Final = facts
        self.seconds: Final = seconds


def look_at(use: TokenUse) -> TokenLook:
    """Log in, and sign with each key. Raises `HsmError` or `OSError`."""
    with TokenProcess() as process:
        facts = process.log_in(use.access)
        return TokenLook(facts, {str(key.address): _signed(process, key) for key in use.keys})


def _signed(process: TokenProcess, key: TriedKey) -> list[float] | HsmError:
    taken: list[float] = []
    end = time.monotonic() + _MEASURED_SECONDS
    try:
        while len(taken) < _MOST_SIGNATURES and (not taken or time.monotonic() < end):
            one = trial(key)
            began = time.perf_counter()
            signature = process.perform(one.call)
            taken.append(time.perf_counter() - began)
            one.check(signature)
    except HsmError as error:
        return error
    return taken


def token_findings(use: TokenUse, answer: TokenLook | Exception) -> Iterator[Finding]:
    match answer:
        case PinFinalTry():
            remedy = (
                f"Make sure of the PIN ({use.pin_source}), then: plexigate hsm list --config FILE --token {use.name}"
                " --final-try."
            )
            yield _TOKENS.failure(use.name, printable(str(answer)), remedy)
        case PinLatched() | PinRefused():
            remedy = (
                f"Correct the PIN ({use.pin_source}), then plexigate reload. If it was right: plexigate hsm unlatch"
                f" {answer.token}."
            )
            yield _TOKENS.failure(use.name, printable(str(answer)), remedy)
        case HsmError():
            remedy = "Is the device there, and its daemon running? plexigate hsm list --config FILE shows all tokens."
            yield _TOKENS.failure(use.name, printable(str(answer)), remedy)
        case Exception():
            yield _TOKENS.unknown(use.name, f"it could not be asked: {answer}")
        case _:
            yield from _of_look(use, answer)


def _of_look(use: TokenUse, look: TokenLook) -> Iterator[Finding]:
    facts = look.facts
    if facts.pin_state is PinState.FINE:
        yield _TOKENS.ok(use.name, f"{facts}, logged in with the PIN of the {use.pin_source}")
    else:
        found = f"{facts}: a wrong PIN was given since the last login ({facts.pin_state})"
        yield _TOKENS.warning(use.name, found, "Find the program that has a wrong PIN before the token locks itself.")
    if facts.session_limit is not None and facts.session_limit < use.max_sessions:
        found = f"it allows {facts.session_limit} sessions, and max_sessions is {use.max_sessions}"
        yield _TOKENS.warning(f"{use.name}, sessions", found, f"Lower hsm.token.{use.name}.max_sessions.")
    for name, seconds in look.seconds.items():
        yield _of_key(use, name, seconds)
    if not look.seconds:
        yield _TOKENS.skipped(f"{use.name}, keys", "no identity signs with a key of this token")


def _of_key(use: TokenUse, name: str, seconds: list[float] | HsmError) -> Finding:
    subject = printable(f"{use.name}, {name}")
    if isinstance(seconds, HsmError):
        remedy = "plexigate hsm list shows its keys; rotate the credential, or restore the key."
        return _TOKENS.failure(subject, f"it does not sign: {printable(str(seconds))}", remedy)
    median = statistics.median(seconds)
    found = (
        f"it signs, and its certificate verifies that; median {median * 1e3:.1f} ms, "
        f"{1 / median:.0f} full handshakes a second for each session"
    )
    if median > _SLOW_SECONDS:
        remedy = "Spread the key over several tokens (spread = true), or keep sessions resumable longer."
        return _TOKENS.warning(subject, found, remedy)
    return _TOKENS.ok(subject, found)


def uses_of(loaded: LoadedConfig, now: datetime) -> tuple[TokenUse, ...]:
    """The tokens of a configuration whose PIN can be read, with the keys of its identities."""
    with _issued(loaded, now).as_files() as files:
        there = replace(loaded, file=replace(loaded.file, files={**loaded.file.files, **files}))
        credentials = load_credentials(there, now)
    return token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins)


def token_places(loaded: LoadedConfig | None) -> dict[str, str]:
    """The places in the configuration that are about one token: its table, and the keys in it."""
    if loaded is None or (hsm := loaded.config.hsm) is None:
        return {}
    found = {loaded.file.key("hsm", "token", name): name for name in hsm.token}
    for name, identity in loaded.config.identity.items():
        for place, one in identity.placed_credentials:
            uris = [] if isinstance(one, IssuedCredential) else [uri for uri in one.key if not isinstance(uri, str)]
            tokens = {token for uri in uris for token in hsm.tokens_of(uri)}
            if len(tokens) == 1:  # of several, others may serve
                found[loaded.file.key("identity", name, *place, "key")] = tokens.pop()
    return found


def _issued(loaded: LoadedConfig, now: datetime) -> Material:
    """What the rotation has put in place, keys in tokens included."""
    try:
        parts = parts_of(loaded, lambda: now)
        files = {} if parts is None else served_files(parts.store, loaded.config, parts.homes)[0]
    except (ConfigError, SealingError, OSError):
        return Material()  # the check of the configuration says why
    return Material({str(path): FileContent(one.mode, one.content) for path, one in files.items()})


def _tokens(examined: Examined) -> Iterator[Finding]:
    loaded = examined.loaded
    if loaded.config.hsm is None:
        yield _TOKENS.skipped("tokens", "the configuration has no [hsm]: keys are in files")
        return
    for problem in read_pins(loaded.file, loaded.config.hsm).problems:
        yield _TOKENS.failure(problem.key, problem.found, f"Allowed: {problem.allowed}.")
    for use, answer in side_by_side(uses_of(loaded, examined.now()), look_at, _SECONDS):
        yield from token_findings(use, answer)
    if examined.status is not None:
        yield from seen_findings(examined.status)


def seen_findings(status: StatusDocument) -> Iterator[Finding]:
    """Judge how the running proxy sees its tokens, and which keys it misses."""
    for one in status["tokens"]:
        subject = f"{one['token']}, running proxy"
        closed = [worker["slot"] for worker in one["workers"] if worker["state"] != BreakerState.CLOSED]
        if one["parent"] != "well":
            remedy = "plexigate status shows its workers; the log has token_unwell."
            yield _TOKENS.failure(subject, f"the parent sees it {one['parent']}: {one['detail']}", remedy)
        elif closed:
            found = f"workers {', '.join(map(str, closed))} do not use it now"
            yield _TOKENS.warning(subject, found, "They try it again by themselves; plexigate status shows when.")
        else:
            yield _TOKENS.ok(subject, "healthy, and all workers use it")
        for key in one["missing_keys"]:
            found = f"{key['key']} is missing, for {', '.join(key['identities'])}"
            remedy = "Plexigate replaces a key that it has made by itself. Else restore it, or make another one."
            yield _TOKENS.failure(subject, found, remedy)


TOKEN_KEYS: Final = (Checkup("tokens", Area.TOKENS, _tokens, seconds=30.0),)
