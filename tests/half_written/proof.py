"""What is tried at every system call of an operation: the process that makes it is killed there, or the disk is full from there on.

Afterwards the next start serves, `check` finds nothing wrong, and no key is lost.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from certs.sealing.recipients import PrivateRecipient, RecipientKem
from tests.half_written.scene import Kept, Serving, State
from tests.half_written.stopping import KILL
from tests.programs import NotReadyError


@dataclass(frozen=True, slots=True)
class Operation:
    """A command that changes state, while the proxy runs."""

    words: tuple[str, ...]
    adds_ring: bool = False
    """Whether the configuration has one ring more before it."""
    adds_sealing_key: bool = False
    """Whether its last word is a new key file, which the configuration names afterwards."""

    def run(self, serving: Serving) -> bool:
        """Run it; whether it says that it has done what it was asked for."""
        state = serving.of
        words = self.words
        if self.adds_ring:
            state.rings.append(f"ring{len(state.rings)}")
            state.write()
        if self.adds_sealing_key:
            serving.name_sealing_key()  # one that was stopped may have come that far
            words = (*words, str(state.next_sealing_key()))
        is_done = state.command(*words).returncode == 0
        if self.adds_sealing_key:
            serving.name_sealing_key()
        return is_done


FIRST_START: Final = "first start"
RESTORE: Final = "restore"
OPERATIONS: Final = {
    "rotation": Operation(("certs", "rotate", "local")),
    "revocation": Operation(("certs", "rotate", "local", "--compromised")),
    "rotation of a ring": Operation(("payload", "rotate", "chat")),
    "reload with a new ring": Operation(("reload",), adds_ring=True),
    "upgrade": Operation(("upgrade",)),
    "rotation below the sealing key": Operation(("hsm", "keys", "--rotate")),
    "rotation of the sealing key": Operation(
        ("hsm", "rotate-sealing", "--no-recovery", "--yes", "--key-file"), adds_sealing_key=True
    ),
}


@dataclass
class Tried:
    """How often an operation was stopped, and what was wrong afterwards."""

    name: str
    calls: int
    """That the operation makes when nothing happens to it."""
    stopped: int
    wrong: list[str]


Choose = Callable[[int], Iterable[int]]
"""Which calls to stop at (from 0), of so many."""


def first_start(state: State, error: int, choose: Choose) -> Tried:
    """Stop the first start at its calls, each time in a directory that was never used."""
    state.forget()
    state.stopper.arm()
    with state.serving() as serving:
        tried = Tried(FIRST_START, state.stopper.disarm(), 0, [] if serving.answers() else ["it does not serve"])
    for call in choose(tried.calls):
        state.forget()
        state.stopper.arm(call, error)
        with suppress(NotReadyError), state.serving():
            pass
        tried.stopped += state.stopper.disarm() > call
        tried.wrong += [f"{FIRST_START}, call {call}: {fault}" for fault in _faults_of_a_start(state, None)]
    return tried


def running(state: State, name: str, error: int, choose: Choose) -> Tried:
    """Stop an operation at its calls, one after the other in one directory."""
    operation = OPERATIONS[name]
    with ExitStack() as now:
        serving = now.enter_context(state.serving())
        state.stopper.arm()
        assert operation.run(serving), name
        tried = Tried(name, state.stopper.disarm(), 0, [])
        before = serving.kept()
        for call in choose(tried.calls):
            state.stopper.arm(call, error)
            is_done = operation.run(serving)
            faults = ["it does not serve meanwhile"] if error != KILL and not serving.answers() else []
            if state.stopper.disarm() <= call:
                tried.wrong += [] if is_done else [f"{name}: it fails although nothing was stopped"]
                break
            tried.stopped += 1
            now.close()
            faults += state.check()
            try:
                serving = now.enter_context(state.serving())
            except NotReadyError as failed:
                tried.wrong.append(f"{name}, call {call}: it does not start: {failed}")
                break
            faults += _faults(serving, before)
            tried.wrong += [f"{name}, call {call}: {fault}" for fault in faults]
    tried.wrong += state.audit()
    return tried


def restored(state: State, name: str) -> list[str]:
    """Put the directory of before an operation back afterwards; what is wrong then."""
    yesterday = state.directory / "yesterday"
    key = state.sealing_key
    with state.serving() as serving:
        before = serving.kept()
    shutil.copytree(state.state, yesterday)
    with state.serving() as serving:
        assert OPERATIONS[name].run(serving), name
    shutil.rmtree(state.state)
    yesterday.rename(state.state)
    faults = []
    if state.sealing_key != key:
        # the newer key opens nothing of yesterday, and `check` says which one does
        faults += [] if f"the key that does: {key}" in "".join(state.check()) else ["check does not name the older key"]
        state.sealing_key = key
        state.write()
    return [f"{name}, restored from yesterday: {fault}" for fault in [*faults, *_faults_of_a_start(state, before)]]


def restoring(state: State, error: int, choose: Choose) -> Tried:
    """Stop a restore at its calls, each time where nothing is left but the sealing key and a backup."""
    backup = state.directory.with_name("one.pxbackup")
    backup.unlink(missing_ok=True)
    recipient = state.directory.with_name("safe.pub")  # as the sealing key has no shares
    recipient.write_bytes(PrivateRecipient.generate(RecipientKem.MLKEM768_X25519).public.pem())
    with state.serving() as serving:
        before = serving.kept()
        made = state.command("backup", "create", str(backup), "--to", str(recipient))
    assert made.returncode == 0, made.stderr
    state.burn()
    state.stopper.arm()
    first = state.restore(backup)
    tried = Tried(RESTORE, state.stopper.disarm(), 0, [first.stderr] if first.returncode else [])
    for call in choose(tried.calls):
        state.burn()
        state.stopper.arm(call, error)
        state.restore(backup)
        tried.stopped += state.stopper.disarm() > call
        again = state.restore(backup)
        faults = [again.stderr] if again.returncode else [*_faults_of_a_start(state, before)]
        tried.wrong += [f"{RESTORE}, call {call}: {fault}" for fault in faults]
    return tried


def _faults(serving: Serving, before: Kept | None) -> Iterator[str]:
    """What is wrong with what serves now, also beside what was there before."""
    if not serving.answers():
        yield "it does not serve"
    elif before is not None:
        yield from before.missing_in(serving.kept())


def _faults_of_a_start(state: State, before: Kept | None) -> Iterator[str]:
    yield from state.check()
    try:
        with state.serving() as serving:
            yield from _faults(serving, before)
    except NotReadyError as error:
        yield f"it does not start: {error}"
    yield from state.audit()
