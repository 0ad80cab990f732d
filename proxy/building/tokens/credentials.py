"""Settle which credentials with keys in tokens can serve, and say what is wrong with their keys."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from certs.identities.credential import Credential
from certs.identities.issued import files_of_slot
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import Custody, KeyFamily
from config.loading.loaded import ConfigFile
from config.schema import CredentialConfig, IssuedCredential
from config.tables.rotation import rotate_command
from config.values.problems import Location, Severity
from proxy.building.foundation import Foundation
from proxy.building.resources import worker_count
from proxy.building.token_fault import Unusable, severity_of
from proxy.building.tokens.keys import TokenKeys
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.configuration import PKCS11
from proxy.tls.tokens.openssl_setup import instances_of


def usable_credentials(
    foundation: Foundation,
    identities: Mapping[str, tuple[Credential, ...]],
    capabilities: Capabilities,
    *,
    looks_again: bool = False,
) -> dict[str, tuple[Credential, ...]]:
    """The credentials of each identity, without wrong keys. `token_fault` says what is refused.

    A key that may come back stays in its credential and is skipped until it is found. In a new
    process a key with a fault may stay too (`Foundation.waits_for`).

    Credentials of the generation before are used again without asking their tokens. If
    `looks_again`, the tokens are asked, so that a reload reports what a start would report. Even
    then a token that is unavailable is not asked, and neither is the token of an issued key: its
    rotation will replace it.
    """
    hsm = foundation.loaded.config.hsm
    if hsm is None:
        return dict(identities)
    if PKCS11 in capabilities.missing_providers:  # another check reports this
        return {
            name: tuple(one for one in several if one.key.custody is Custody.FILE)
            for name, several in identities.items()
        }
    has_served = foundation.before.judged_at is not None
    keys = TokenKeys(instances_of(foundation.loaded), foundation.unusable, has_served=has_served)
    return {
        name: tuple(_usable(foundation, keys, name, credentials, looks_again=looks_again))
        for name, credentials in identities.items()
    }


_Faults = tuple[Unusable | None, ...]


def _usable(
    foundation: Foundation,
    keys: TokenKeys,
    identity: str,
    credentials: tuple[Credential, ...],
    *,
    looks_again: bool,
) -> Iterator[Credential]:
    judged = [(one, _faults(foundation, keys, one, looks_again=looks_again)) for one in credentials]
    usual = [one for one in judged if one[0].algorithm.family is not KeyFamily.MLDSA] or judged
    severity = severity_of(fault for _, faults in usual for fault in faults)
    for credential, faults in judged:
        _note(foundation, identity, credential, faults, severity)
        remaining = _without(credential, faults, foundation)
        if remaining is not None:
            yield remaining


def _faults(foundation: Foundation, keys: TokenKeys, credential: Credential, *, looks_again: bool) -> _Faults:
    is_known = credential.digest in foundation.before.credentials
    if is_known and (credential.is_issued or not looks_again):
        return (None,) * len(credential.keys)
    ask = keys.loss if is_known else keys.fault
    return tuple(
        ask(one, credential.certificate_path) if isinstance(one, Pkcs11Key) else None for one in credential.keys
    )


def _without(credential: Credential, faults: _Faults, foundation: Foundation) -> Credential | None:
    """The credential without wrong keys, or None if it has no other key.

    Keys that may come back are noted as absent.
    """
    if all(fault is None for fault in faults):
        return credential
    waits = foundation.waits_for(credential)
    kept = [(key, fault) for key, fault in zip(credential.keys, faults, strict=True) if _stays(fault, waits=waits)]
    if not kept:
        return None
    foundation.absent.update((credential.digest, key.location) for key, fault in kept if fault is not None)
    if len(kept) == len(faults):
        return credential
    first, *spares = (key for key, _ in kept)
    # a digest of its own, so that this credential and the complete one are not confused
    digest = sha256(b"\0".join([credential.digest, *(key.location.encode() for key, _ in kept)])).digest()
    foundation.absent.update((digest, key.location) for key, fault in kept if fault is not None)
    return replace(credential, key=first, spares=tuple(spares), digest=digest)


def _stays(fault: Unusable | None, *, waits: bool) -> bool:
    return waits or fault is None or fault.is_awaited


def _note(
    foundation: Foundation, identity: str, credential: Credential, faults: _Faults, of_identity: Severity
) -> None:
    # An issued credential must have a key that works, even if other credentials of the identity
    # can serve. The previous one continues until then: a rotation can wait.
    severity = severity_of(faults) if credential.is_issued else of_identity
    if foundation.waits_for(credential):
        severity = Severity.WARNING
    place, slot = _place(foundation, identity, credential)
    for index, (key, fault) in enumerate(zip(credential.keys, faults, strict=True)):
        if fault is not None:
            at = (*place, "key", index) if len(faults) > 1 else (*place, "key")
            is_renewable = credential.is_issued and not fault.may_pass
            allowed = f"another one: {rotate_command(identity, slot)}" if is_renewable else fault.allowed
            problem = foundation.loaded.file.error(at, f'"{key.location}", {fault.found}', allowed)
            foundation.problems.append(replace(problem, severity=severity))


def _place(foundation: Foundation, identity: str, credential: Credential) -> tuple[Location, str]:
    """Where the file asks for a credential, and its slot if it is issued for this place."""
    file = foundation.loaded.file
    state = foundation.loaded.config.rotation.state
    for place, one in foundation.loaded.config.identity[identity].placed_credentials:
        if _certificate(file, state, identity, one) == credential.certificate_path:
            return ("identity", identity, *place), one.slot if isinstance(one, IssuedCredential) else ""
    return ("identity", identity), ""  # it stands in for a credential that is not issued yet


def _certificate(
    file: ConfigFile, state: str | None, identity: str, settings: CredentialConfig | IssuedCredential
) -> Path | None:
    if isinstance(settings, CredentialConfig):
        return file.resolve(settings.certificate)
    files = files_of_slot(file, state, identity, settings.slot)
    return None if files is None else files[0]


def note_session_shortage(foundation: Foundation) -> None:
    """Add an error for each token whose sessions are too few for the number of workers."""
    hsm = foundation.loaded.config.hsm
    workers = worker_count(foundation.loaded.config)
    for name, token in ({} if hsm is None else hsm.token).items():
        if token.signing_threads(workers) < 1:
            found = f"{token.max_sessions}, which is too few for {workers} workers"
            allowed = (
                f"{token.fewest_sessions(workers)} or more, if the token has them: 2 for the parent, and for each worker "
                "one to stay logged in and one to sign; or fewer workers"
            )
            foundation.error(("hsm", "token", name, "max_sessions"), found, allowed)
