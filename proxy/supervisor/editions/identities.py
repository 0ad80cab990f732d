"""What is known of the credentials of an edition: their certificates, their keys and tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256

from certs.identities.chain import signature_name
from certs.identities.credential import Credential
from certs.identities.identities import LoadedCredentials
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import KeyFamily
from certs.tokens.token_use import KeyPlace, TokenUse, identities_in_tokens, token_uses
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import CredentialConfig, IdentityConfig
from proxy.observe.scrape import CertificateFacts, RevocationFacts
from proxy.processes.material import Material
from proxy.supervisor.editions.issued import shut_identities


@dataclass(frozen=True, slots=True)
class EditionIdentities:
    """The identities of one edition, without the keys themselves."""

    certificates: Sequence[CertificateFacts]
    revocations: Sequence[RevocationFacts]
    """The lists by which identities judge their clients."""
    tokens: Sequence[TokenUse]
    in_tokens: Mapping[str, frozenset[KeyPlace]]
    """The identities without a key in a file, and the keys in tokens that sign for them."""
    shut: frozenset[str]
    """Identities with a key that is still sealed, because the sealing key is unavailable."""
    dark: frozenset[str]
    """The identities of `shut` that have no other credential which a usual client accepts."""

    @classmethod
    def of(cls, loaded: LoadedConfig, material: Material, credentials: LoadedCredentials) -> "EditionIdentities":
        """Those of `credentials`; `material` has what each key file contains."""
        shut = shut_identities(loaded, material)
        return cls(
            certificates=_facts(loaded.file, loaded.config.identity, credentials),
            revocations=_revocations(credentials),
            tokens=token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins),
            in_tokens=identities_in_tokens(credentials.identities),
            shut=shut,
            dark=_dark(shut, credentials),
        )


def _dark(shut: frozenset[str], credentials: LoadedCredentials) -> frozenset[str]:
    # ML-DSA alone does not count, see `identities_in_tokens`
    families = {name: {one.algorithm.family for one in credentials.identities[name]} for name in shut}
    return frozenset(name for name, found in families.items() if found <= {KeyFamily.MLDSA})


def _facts(
    file: ConfigFile, identities: Mapping[str, IdentityConfig], credentials: LoadedCredentials
) -> list[CertificateFacts]:
    return [
        CertificateFacts(
            name,
            str(one.algorithm),
            one.names,
            one.not_after.timestamp(),
            _key_places(file, name, identities[name], one),
            one.leaf.fingerprint(SHA256()).hex(),
            one.leaf.not_valid_before_utc.timestamp(),
            is_issued=_configured(file, identities[name], one) is None,
            signatures=tuple(map(signature_name, one.chain)),
            tokens=tuple(key.token for key in one.keys if isinstance(key, Pkcs11Key)),
        )
        for name, of_identity in credentials.identities.items()
        for one in of_identity
    ]


def _revocations(credentials: LoadedCredentials) -> list[RevocationFacts]:
    spans = [(name, one.currency, one.is_lenient) for name, one in credentials.clients.items()]
    return [
        RevocationFacts(name, span[0].timestamp(), span[1].timestamp(), is_lenient=is_lenient)
        for name, span, is_lenient in spans
        if span is not None
    ]


def _key_places(file: ConfigFile, identity: str, settings: IdentityConfig, credential: Credential) -> tuple[str, ...]:
    """The places of a credential's keys as the configuration names them.

    This process may have read their content from elsewhere.
    """
    configured = _configured(file, settings, credential)
    if configured is not None:
        return tuple(str(key) for key in configured.key)
    issued = tuple(key.location for key in credential.keys if isinstance(key, Pkcs11Key))
    return issued or (f"{identity} {credential.algorithm}",)


def _configured(file: ConfigFile, settings: IdentityConfig, credential: Credential) -> CredentialConfig | None:
    """The table of a credential from files. None for one that was issued."""
    for one in settings.credentials:
        if isinstance(one, CredentialConfig) and credential.certificate_path == file.resolve(one.certificate):
            return one
    return None
