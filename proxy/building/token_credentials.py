"""Settle which credentials with keys in tokens can serve, and say what is wrong with their keys."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from certs.credential import Credential
from certs.issued import files_of_slot
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import Custody
from config.loaded import LoadedConfig
from config.problems import Location, Severity
from config.schema import CredentialConfig, IssuedCredentialConfig
from proxy.building.foundation import Foundation
from proxy.building.resources import worker_count
from proxy.building.token_fault import Unusable
from proxy.building.token_keys import TokenKeys
from proxy.openssl_configuration import PKCS11
from proxy.openssl_setup import instances_of
from proxy.tls.capabilities import Capabilities


def usable_credentials(
    foundation: Foundation,
    identities: Mapping[str, tuple[Credential, ...]],
    capabilities: Capabilities,
    *,
    looks_again: bool = False,
) -> dict[str, tuple[Credential, ...]]:
    """The credentials of each identity, without those that have no key that was found in its token.

    A token that is only away is passed over until it is back, whatever stands in for it; so is an issued key in a process that begins
    (`Foundation.waits_for`), whatever is wrong with it. A credential of the generation before is taken without asking its tokens again,
    unless `looks_again`: then a key that a start would refuse is an error here as well. No token that is away is asked for that, nor one
    for an issued key, whose rotation is to mend it.
    """
    hsm = foundation.loaded.config.hsm
    if hsm is None:
        return dict(identities)
    if PKCS11 in capabilities.missing_providers:  # which is said already
        return {
            name: tuple(one for one in several if one.key.custody is Custody.FILE)
            for name, several in identities.items()
        }
    keys = TokenKeys(instances_of(foundation.loaded), foundation.closed)
    return {
        name: tuple(_usable(foundation, keys, name, credentials, looks_again=looks_again))
        for name, credentials in identities.items()
    }


def _usable(
    foundation: Foundation,
    keys: TokenKeys,
    identity: str,
    credentials: tuple[Credential, ...],
    *,
    looks_again: bool,
) -> Iterator[Credential]:
    for credential in credentials:
        of_token = [one for one in credential.keys if isinstance(one, Pkcs11Key)]
        if not isinstance(credential.key, Pkcs11Key):
            yield credential
        elif credential.digest in foundation.before.credentials:
            if looks_again and not credential.is_issued:
                losses = [keys.loss(one, credential.certificate_path) for one in of_token]
                _note(foundation, identity, credential, losses)
            yield credential
        else:
            faults = [keys.fault(one, credential.certificate_path) for one in of_token]
            _note(foundation, identity, credential, faults)
            if foundation.waits_for(credential) or any(fault is None or fault.is_expected for fault in faults):
                yield credential


def _note(foundation: Foundation, identity: str, credential: Credential, faults: list[Unusable | None]) -> None:
    place = _place(foundation, identity, credential)
    others_serve = any(fault is None for fault in faults)
    for index, (key, fault) in enumerate(zip(credential.keys, faults, strict=True)):
        if fault is not None:
            at = (*place, "key", index) if len(faults) > 1 else (*place, "key")
            is_renewable = credential.is_issued and not fault.may_pass
            allowed = f"another one: plexigate certs rotate {identity}" if is_renewable else fault.allowed
            problem = foundation.loaded.error(at, f'"{key.location}", {fault.found}', allowed)
            # a token that is away for a moment is what the other keys are there for
            is_tolerable = fault.is_expected or (fault.may_pass and others_serve) or foundation.waits_for(credential)
            severity = Severity.WARNING if is_tolerable else Severity.ERROR
            foundation.problems.append(replace(problem, severity=severity))


def _place(foundation: Foundation, identity: str, credential: Credential) -> Location:
    settings = foundation.loaded.config.identity[identity]
    if not settings.credential:
        return ("identity", identity)
    paths = [_certificate(foundation.loaded, identity, one) for one in settings.credential]
    if credential.certificate_path not in paths:
        return ("identity", identity)  # it stands in for one that was not issued yet
    return ("identity", identity, "credential", paths.index(credential.certificate_path))


def _certificate(
    loaded: LoadedConfig, identity: str, settings: CredentialConfig | IssuedCredentialConfig
) -> Path | None:
    if isinstance(settings, CredentialConfig):
        return loaded.resolve(settings.certificate)
    files = files_of_slot(loaded, identity, settings.key.slot)
    return None if files is None else files[0]


def note_session_shortage(foundation: Foundation) -> None:
    """Add an error for each token whose sessions are too few for the number of workers."""
    hsm, workers = foundation.loaded.config.hsm, worker_count(foundation.loaded.config)
    for name, token in ({} if hsm is None else hsm.token).items():
        if token.signing_threads(workers) < 1:
            found = f"{token.max_sessions}, which is too few for {workers} workers"
            allowed = (
                f"{token.fewest_sessions(workers)} or more, if the token has them: 2 for the parent, and for each worker "
                "one to stay logged in and one to sign; or fewer workers"
            )
            foundation.error(("hsm", "token", name, "max_sessions"), found, allowed)
