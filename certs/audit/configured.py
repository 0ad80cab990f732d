"""The audit log of a configuration, for the parent and for commands: one file, one chain, one key
that signs for it.
"""

from pathlib import Path

from certs.audit.checkpoint_signer import TokenSigner
from certs.audit.journal import Journal
from certs.audit.log import AuditLog, AuditRules
from certs.audit.signatures import CheckpointKey, SignerUnavailable
from certs.audit.signing import FileSigner
from certs.files.errors import CredentialError
from certs.hsm.facts import KeyAddress
from certs.keys.configured_access import access_of
from config.loading.loaded import ConfigFile
from config.tables.hsm import HsmConfig
from config.tables.operations.audit import AuditConfig
from config.values.problems import ConfigError, Problem, shown


def audit_log_of(file: ConfigFile, audit: AuditConfig, hsm: HsmConfig | None, journal: Journal) -> AuditLog | None:
    """The log, of which nothing is touched yet; None where there is none.

    Raises `ConfigError` for a key that cannot be used.
    """
    if audit.file is None:
        return None
    rules = AuditRules(audit.checkpoint_lines, audit.rotate_bytes or None)
    return AuditLog(file.resolve(audit.file), rules, _signer(file, audit, hsm), journal)


def checkpoint_key_problems(file: ConfigFile, audit: AuditConfig, hsm: HsmConfig | None) -> tuple[Problem, ...]:
    """What is wrong with the key that signs for the log.

    One that is not in its token is only said: a start continues without it.

    May take as long as the token takes.
    """
    if audit.file is None:
        return ()
    try:
        signer = _signer(file, audit, hsm)
        if signer is not None:
            _ = signer.public_key
    except ConfigError as error:
        return error.problems
    except SignerUnavailable as error:
        found = f"a key that cannot sign, so checkpoints are unsigned: {error.reason}"
        return (file.warning(("audit", "checkpoint_key"), found, "a key that plexigate hsm list shows"),)
    return ()


def _signer(file: ConfigFile, audit: AuditConfig, hsm: HsmConfig | None) -> CheckpointKey | None:
    key = audit.checkpoint_key
    if key is None:
        return None
    if not isinstance(key, str):
        return TokenSigner(access_of(file, hsm, key), KeyAddress(key.object, key.id))
    try:
        return FileSigner.load(Path(file.resolve(key)))
    except CredentialError as error:
        raise ConfigError(
            [file.error(("audit", "checkpoint_key"), f"{shown(key)}, {error.found}", error.allowed)]
        ) from None
