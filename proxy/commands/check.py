"""`plexigate check`: finds all problems of a configuration without starting the proxy."""

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from certs.audit.configured import checkpoint_key_problems
from certs.hierarchy.configured import key_in_file_warnings, opened_keys, sealing_key_problems, vault_of
from certs.hsm.other_user import fault_for
from certs.identities.identities import load_credentials
from certs.tokens.prober import Condition, ProbeFinding, Prober
from certs.tokens.token_use import TokenUse, identities_in_tokens, spare_tokens, token_uses
from certs.tokens.twins import twin_problems
from config.hsm_crosschecks import token_problems
from config.loaded import LoadedConfig
from config.loader import Survey, survey
from config.problems import ConfigError, Problem, Severity
from proxy.admin.held_addresses import address_problems, own_server_problems
from proxy.admin.listening import socket_problems
from proxy.building.closed_tokens import ClosedTokens
from proxy.building.places import place_problems
from proxy.processes.material import Material
from proxy.processes.messages.questions import ToldToken
from proxy.processes.privileges import account_of
from proxy.supervisor.alerts.settings import program_problems
from proxy.supervisor.editions.issued import issued_material, with_files
from proxy.supervisor.secrets.payload_store import store_problems
from proxy.supervisor.secrets.safe import now_in_utc
from proxy.supervisor.secrets.state_locks import lock_problems
from proxy.supervisor.workers.process import worker_environment
from proxy.tls import libssl
from proxy.tls.openssl_setup import prepare_openssl
from proxy.tls.tickets import TicketSecrets
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
    """Whether `[hsm]` has errors: then it is unknown which PIN belongs to which token, and none is
    tried.
    """
    in_tables = any(one.is_error and one.key.partition(".")[0] == "hsm" for one in found.problems)
    return in_tables or any(
        one.is_error for one in token_problems(loaded.config, str(loaded.file.path), loaded.file.omissions)
    )


def _check_here(loaded: LoadedConfig) -> tuple[Problem, ...]:
    problems = list(loaded.faults)
    now = now_in_utc()
    credentials = load_credentials(loaded, now)
    uses = token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins)
    twins = _twins(loaded, uses)
    if twins:
        return (*problems, *loaded.warnings, *credentials.problems, *twins, *account_of(loaded)[1])
    refusals, closed = _refused_pins(loaded, uses)
    refusals |= _unseen_by_workers(loaded, [use for use in uses if use.name not in refusals])
    spare = spare_tokens(uses, identities_in_tokens(credentials.identities), refusals)
    problems += [_tolerated(one) if token in spare else one for token, one in refusals.items()]
    capabilities = prepare_openssl(loaded)
    with _refusals_in(problems):
        issued, faults = issued_material(loaded)
        problems += faults
        with _refusals_in(problems):
            vault = vault_of(loaded, now_in_utc, lambda *_: None)
            problems += sealing_key_problems(loaded.file, loaded.config.sealing, loaded.config.hsm)
            problems += store_problems(loaded, vault)
            issued = Material({**Material.of_keys(opened_keys(loaded, vault)), **issued})
        problems += key_in_file_warnings(loaded.file, loaded.config.sealing)
        with issued.as_files() as files:
            built = build(with_files(loaded, files), capabilities, TicketSecrets.fresh(), now, closed=closed)
        problems += built.warnings
    account, doubts = account_of(loaded)
    problems += [*checkpoint_key_problems(loaded.file, loaded.config.audit, loaded.config.hsm), *doubts]
    problems += [
        *place_problems(loaded, account),
        *socket_problems(loaded),
        *address_problems(loaded),
    ]
    problems += [*own_server_problems(loaded), *program_problems(loaded), *lock_problems(loaded)]
    known = {fault.key for fault in loaded.faults}
    further = [problem for problem in problems[len(loaded.faults) :] if problem.key not in known]
    return tuple(dict.fromkeys([*loaded.faults, *further]))


@contextmanager
def _refusals_in(problems: list[Problem]) -> Iterator[None]:
    """Add the problems of a refusal to `problems`, and continue: the check reports all problems at
    once.
    """
    try:
        yield
    except ConfigError as error:
        known = {problem.key for problem in problems if problem.is_error}
        problems += [problem for problem in error.problems if problem.key not in known]


def _twins(loaded: LoadedConfig, uses: Sequence[TokenUse]) -> list[Problem]:
    if not uses:
        return []

    async def looked() -> list[Problem]:
        return await twin_problems(asyncio.get_running_loop(), loaded.file, uses, loaded.config.reload_seconds / 2)

    return asyncio.run(looked())


def _tolerated(problem: Problem) -> Problem:
    """The problem of a spare token, as a warning: the proxy can start with the other tokens."""
    return replace(problem, severity=Severity.WARNING)


def _refused_pins(loaded: LoadedConfig, uses: Sequence[TokenUse]) -> tuple[dict[str, Problem], ClosedTokens]:
    """Try each PIN once with the parent's PIN latch: OpenSSL would repeat a PIN that was refused
    before.
    """

    async def tried() -> list[tuple[TokenUse, ProbeFinding]]:
        loop, seconds = asyncio.get_running_loop(), loaded.config.reload_seconds / 2
        return [(use, await Prober(loop, use).try_pin(seconds)) for use in uses]

    found = [(use, one) for use, one in (asyncio.run(tried()) if uses else ()) if one.condition is Condition.REFUSED]
    problems = {
        use.name: loaded.file.error(
            ("hsm", "token", use.name),
            f"the PIN from the {use.pin_source}: {one.detail}",
            "the PIN of this token",
        )
        for use, one in found
    }
    told = {use.name: ToldToken(str(one.condition), one.detail, module_is_down=False) for use, one in found}
    return problems, replace(ClosedTokens.told(told), is_waited_for=False)


def _unseen_by_workers(loaded: LoadedConfig, uses: Sequence[TokenUse]) -> dict[str, Problem]:
    """Tokens that this user can use, but the user of the workers cannot."""
    account, _ = account_of(loaded)
    if account is None or not uses:
        return {}

    async def looked() -> dict[str, Problem]:
        loop, problems = asyncio.get_running_loop(), dict[str, Problem]()
        for use in uses:
            # a token that the parent does not find either is reported elsewhere
            mine = await fault_for(loop, use.access, None)
            theirs = None if mine else await fault_for(loop, use.access, account)
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
    """The process that checks has failed because of an error in Plexigate; `trace` is its
    traceback.
    """

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
