"""`plexigate check`: finds all problems of a configuration without starting the proxy."""

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.audit.configured import checkpoint_key_problems
from certs.hierarchy.configured import vault_of
from certs.hsm.clients.async_client import fault_for
from certs.identities.identities import load_credentials
from certs.tokens.prober import Condition, ProbeFinding, Prober
from certs.tokens.token_use import TokenUse, identities_in_tokens, spare_tokens, token_uses
from certs.tokens.twins import twin_problems
from config.crosschecks.hsm import token_problems
from config.loading.loaded import LoadedConfig
from config.loading.loader import Survey, survey
from config.values.problems import Problem, Severity
from proxy.admin.held_addresses import address_problems
from proxy.building.unusable_tokens import NONE_UNUSABLE, UnusableTokens
from proxy.processes.messages.questions import ToldToken
from proxy.processes.privileges import account_of
from proxy.supervisor.editions.facts import Facts, gathered, refusals_in
from proxy.supervisor.editions.issued import with_files
from proxy.supervisor.editions.judge import judge
from proxy.supervisor.secrets.safe import now_in_utc
from proxy.supervisor.secrets.state_locks import lock_problems
from proxy.supervisor.workers.process import worker_environment
from proxy.tls.openssl import libssl
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.tokens.openssl_setup import instances_of, prepare_openssl
from proxy.worker.generation import build

# sysexits.h: EX_SOFTWARE. Neither an interpreter nor a signal ends a process with it.
_FELL: Final = 70


def check(file: Path) -> tuple[Problem, ...]:
    """Find all problems of a configuration, warnings included. Raises
    `libssl.InterpreterUnsuitable`.

    Keys in tokens are tried in a separate process: the PKCS#11 module is foreign
    code that may crash or hang, and this process may have to use it in another
    way.
    """
    found = survey(file)
    if found.loaded is None:
        return found.problems
    libssl.self_check()
    if _leaves_tokens_open(found.loaded, found):
        return (*found.problems, *account_of(found.loaded)[1])
    if found.loaded.config.hsm is None:
        return _check_here(found.loaded)
    return _check_elsewhere(file, found.loaded, found)


def check_apart(file: Path) -> tuple[Problem, ...]:
    """The same as `check`, and always in a separate process: this one loads no provider.

    Raises `CheckFell`.
    """
    found = survey(file)
    if found.loaded is None:
        return found.problems
    if _leaves_tokens_open(found.loaded, found):
        return (*found.problems, *account_of(found.loaded)[1])
    return _check_elsewhere(file, found.loaded, found)


def _leaves_tokens_open(loaded: LoadedConfig, found: Survey) -> bool:
    """Whether `[hsm]` has errors: then no PIN is tried, as its token is unknown."""
    in_tables = any(one.is_error and one.key.partition(".")[0] == "hsm" for one in found.problems)
    return in_tables or any(
        one.is_error for one in token_problems(loaded.config, str(loaded.file.path), loaded.file.omissions)
    )


def _check_here(loaded: LoadedConfig) -> tuple[Problem, ...]:
    """Judge a configuration as a start does, and try what only a start does."""
    now = now_in_utc()
    tokens = _tried_tokens(loaded, now)
    facts = gathered(
        loaded, now, lambda: vault_of(loaded, now_in_utc, lambda *_: None), with_secrets=not tokens.are_ambiguous
    )
    tried = [*tokens.problems]
    if not tokens.are_ambiguous:
        with facts.made.as_files() as files:
            made = with_files(loaded, files)
            tried += _tolerated(made, now, tokens.refusals)
            tried += _built(made, facts, tokens.unusable)
    tried += [*address_problems(loaded), *lock_problems(loaded)]
    if loaded.config.fleet.etcd:
        # imported here: the client of etcd is large
        from proxy.supervisor.membership.examination import recovery_problems

        tried += asyncio.run(recovery_problems(loaded))
    return judge(loaded, replace(facts, tried=tuple(tried))).problems


@dataclass(frozen=True, slots=True)
class _TriedTokens:
    """What came of trying the PIN of each token."""

    problems: Sequence[Problem] = ()
    refusals: Mapping[str, Problem] = field(default_factory=dict)
    """By the NAME of the token."""
    unusable: UnusableTokens = NONE_UNUSABLE
    """The tokens that are not used from then on."""
    are_ambiguous: bool = False
    """Whether two tokens have one name: the PIN may belong to either, and none is tried."""


def _tried_tokens(loaded: LoadedConfig, now: datetime) -> _TriedTokens:
    credentials = load_credentials(loaded, now)
    uses = token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins)
    twins = _twins(loaded, uses)
    if twins:
        return _TriedTokens(twins, are_ambiguous=True)
    refusals, unusable, slots = _refused_pins(loaded, uses)
    refusals |= _unseen_by_workers(loaded, uses, slots)
    return _TriedTokens((), refusals, unusable)


def _tolerated(loaded: LoadedConfig, now: datetime, refusals: Mapping[str, Problem]) -> Iterator[Problem]:
    """What is wrong with tokens: a warning, if every identity has a key in another one."""
    found = load_credentials(loaded, now)
    uses = token_uses(loaded.file, loaded.config.hsm, found.identities, found.pins)
    spare = spare_tokens(uses, identities_in_tokens(found.identities), refusals)
    for token, one in refusals.items():
        yield replace(one, severity=Severity.WARNING) if token in spare else one


def _built(loaded: LoadedConfig, facts: Facts, unusable: UnusableTokens) -> list[Problem]:
    """What the key of the audit log and a worker say."""
    capabilities = prepare_openssl(loaded)
    config = loaded.config
    problems = list(facts.found)
    with refusals_in(problems):
        built = build(loaded, capabilities, TicketSecrets.fresh(), facts.now, unusable=unusable)
        problems += built.warnings
    problems += checkpoint_key_problems(loaded.file, config.audit, config.hsm)
    return problems[len(facts.found) :]


def _twins(loaded: LoadedConfig, uses: Sequence[TokenUse]) -> list[Problem]:
    if not uses:
        return []

    async def looked() -> list[Problem]:
        return await twin_problems(asyncio.get_running_loop(), loaded.file, uses, loaded.config.reload_seconds / 2)

    return asyncio.run(looked())


def _refused_pins(
    loaded: LoadedConfig, uses: Sequence[TokenUse]
) -> tuple[dict[str, Problem], UnusableTokens, dict[str, int]]:
    """Try each PIN once with the parent's PIN latch: OpenSSL would repeat a refused one.

    Answers also the tokens to leave alone, and the slots of the tokens that answer, by their names.
    """

    async def tried() -> list[tuple[TokenUse, ProbeFinding]]:
        loop = asyncio.get_running_loop()
        seconds = loaded.config.reload_seconds / 2
        async with asyncio.TaskGroup() as group:
            tasks = [(use, group.create_task(Prober(loop, use).try_pin(seconds))) for use in uses]
        return [(use, task.result()) for use, task in tasks]

    found = asyncio.run(tried()) if uses else []
    refused = [(use, one) for use, one in found if one.condition is Condition.REFUSED]
    silent = [(use, one) for use, one in found if one.is_late]
    for _, one in silent:
        instances_of(loaded).silent_slots |= one.silent_slots or frozenset()
    problems = {use.name: use.pin_problem(loaded.file, one.detail) for use, one in refused}
    told = {
        use.name: ToldToken(str(one.condition), one.detail, module_is_down=False) for use, one in (*refused, *silent)
    }
    slots = {use.name: one.facts.slot for use, one in found if one.facts is not None}
    return problems, replace(UnusableTokens.told(told), is_waited_for=False), slots


def _unseen_by_workers(loaded: LoadedConfig, uses: Sequence[TokenUse], slots: Mapping[str, int]) -> dict[str, Problem]:
    """Tokens that this user can use, but the user of the workers cannot.

    `slots` are those in which tokens were found; one that was not found is reported elsewhere.
    """
    account, _ = account_of(loaded)
    if account is None or not slots:
        return {}

    async def looked() -> dict[str, Problem]:
        loop = asyncio.get_running_loop()
        problems = dict[str, Problem]()
        for use in [one for one in uses if one.name in slots]:
            theirs = await fault_for(loop, use.access, account, slots[use.name])
            if theirs is not None:
                found = f"{use.access.token}, which the user {account.name} cannot use: {theirs}"
                allowed = (
                    f"a module, and files that it reads, to which the user of the workers ({account.name}) has access"
                )
                problems[use.name] = loaded.file.error(("hsm", "token", use.name), found, allowed)
        return problems

    return asyncio.run(looked())


def _check_elsewhere(file: Path, loaded: LoadedConfig, found: Survey) -> tuple[Problem, ...]:
    seconds = loaded.config.reload_seconds
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "proxy.commands.check", str(file)],
            env=worker_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        said = f"a PKCS#11 module that did not answer within {seconds:g} s (reload_timeout)"
    else:
        if done.returncode == 0:
            return tuple(Problem.from_json(one) for one in json.loads(done.stdout))
        if done.returncode == _FELL:  # an error in Plexigate, not in the module
            raise CheckFell(done.stderr.decode(errors="replace"))
        said = f"a PKCS#11 module that crashes its process (exit status {done.returncode})"
    lost = loaded.file.error(("hsm", "module"), said, "a module that works in the same process as OpenSSL")
    return (*found.problems, lost)


class CheckFell(Exception):
    """The process that checks failed by an error in Plexigate; `trace` is its traceback."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f"the process that checks the configuration has failed:\n{self.trace}"


def _main() -> None:
    """The separate process: writes the problems of the file in `sys.argv[1]` as JSON."""
    # output of PKCS#11 modules must not mix with the JSON
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        found = survey(Path(sys.argv[1]))
        assert found.loaded is not None  # checked by the parent process
        answer.write(json.dumps([one.as_json() for one in _check_here(found.loaded)]))
        answer.flush()
        status = 0
    except Exception:  # noqa: BLE001 - reported to the parent process
        traceback.print_exc()
        status = _FELL
    sys.stderr.flush()
    os._exit(status)  # at once: exit handlers of the module must not run


if __name__ == "__main__":
    _main()
