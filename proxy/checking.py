"""Everything that is wrong with a configuration, without serving by it."""

from datetime import UTC, datetime
from pathlib import Path

from config.loader import survey
from config.problems import ConfigError, Problem
from proxy.generation import build
from proxy.openssl_setup import prepare_openssl
from proxy.supervisor.issued import issued_material, with_files
from proxy.supervisor.privileges import account_of
from proxy.tls.tickets import TicketSecrets


def check(file: Path) -> tuple[Problem, ...]:
    """Everything that is wrong with a configuration, warnings included. Raises `libssl.InterpreterUnsuitable`."""
    found = survey(file)
    if found.loaded is None:
        return found.problems
    problems = [problem for problem in found.problems if problem.is_error]
    capabilities = prepare_openssl(found.loaded)
    issued, faults = issued_material(found.loaded)
    problems += faults
    now = datetime.now(UTC)  # noqa: TID251 - a driver
    with issued.as_files() as files:
        try:
            problems += build(with_files(found.loaded, files), capabilities, TicketSecrets.fresh(), now).warnings
        except ConfigError as error:
            problems += error.problems
    problems += account_of(found.loaded)[1]
    return tuple(problems)
