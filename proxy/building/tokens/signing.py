"""Build the signing plans of identities with keys in tokens, and the probes of these tokens."""

from collections.abc import Sequence

from certs.identities.credential import Credential
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import Custody
from config.loading.reading import read_regular
from config.schema import CredentialPreference
from proxy.building.carried import ContextKey
from proxy.building.foundation import Foundation
from proxy.building.resources import worker_count
from proxy.signing.tokens import TokenPlan
from proxy.tls.openssl.context import ContextCredential, build_server_context
from proxy.tls.openssl.stand_in import stand_in
from proxy.tls.openssl.tickets import ticket_key
from proxy.tls.tokens.openssl_setup import instances_of
from proxy.tls.tokens.probe import KeyProbe
from proxy.tls.tokens.signing_plan import Signer, SigningPlan, TokenCredential
from proxy.tls.tokens.token_key import KeyContext, TokenKey
from proxy.tls.tokens.token_login import TokenLogin
from proxy.tls.wire.signature_schemes import ranking


def without_tokens(credentials: Sequence[Credential]) -> list[ContextCredential]:
    """One credential of each algorithm: where a key of it is in a token, a throw-away one."""
    in_tokens = {one.algorithm for one in credentials if one.key.custody is Custody.TOKEN}
    files: list[ContextCredential] = [one for one in credentials if one.algorithm not in in_tokens]
    return [*map(stand_in, sorted(in_tokens, key=str)), *files]


def signing_plan(
    foundation: Foundation, made_of: ContextKey, credentials: Sequence[Credential], prefer: CredentialPreference
) -> SigningPlan | None:
    """Plan which keys sign for an identity. None if it has no key in a token.

    Loaded keys are used again. Raises the errors of `build_server_context`.
    """
    files = [one for one in credentials if one.key.custody is Custody.FILE]
    if len(files) == len(credentials):
        return None
    plan = foundation.plans.get(made_of) or foundation.before.plans.get(made_of)
    if plan is not None:
        _hand_on(foundation, credentials)
    else:
        of_files = None
        if files:
            settings = made_of.settings
            tickets = made_of.tickets
            of_files = build_server_context(
                made_of.identity, files, made_of.signature_algorithms, settings, tickets
            ).current
        algorithms = list(dict.fromkeys(one.algorithm for one in credentials))
        signers: list[list[Signer]] = []
        for algorithm in algorithms:
            in_tokens = [one for one in credentials if one.algorithm == algorithm and one.key.custody is Custody.TOKEN]
            of_algorithm: list[Signer] = [_in_tokens(foundation, made_of, in_tokens)] if in_tokens else []
            if of_files is not None and any(one.algorithm == algorithm for one in files):
                of_algorithm.append(of_files)
            signers.append(of_algorithm)
        ranked = ranking(prefer, algorithms)
        plan = SigningPlan(tuple((scheme, signer) for scheme, position in ranked for signer in signers[position]))
    foundation.plans[made_of] = plan
    return plan


def _hand_on(foundation: Foundation, credentials: Sequence[Credential]) -> None:
    """Keep the keys of a plan that is used again."""
    places = [(one.digest, key.location) for one in credentials for key in one.keys]
    before = foundation.before.token_keys
    foundation.token_keys.update({place: before[place] for place in places if place in before})


def _in_tokens(foundation: Foundation, made_of: ContextKey, replicas: Sequence[Credential]) -> TokenCredential:
    secret = ticket_key(made_of.tickets.current, made_of.identity, made_of.settings.fingerprint)
    places = [(one, key) for one in replicas for key in one.keys if isinstance(key, Pkcs11Key)]
    contexts = tuple(
        KeyContext(
            _token_key(foundation, one, key, is_only=len(places) == 1),
            made_of.settings,
            made_of.signature_algorithms,
            secret,
        )
        for one, key in places
    )
    return TokenCredential(contexts, any(one.is_spread for one in replicas))


def _token_key(foundation: Foundation, credential: Credential, key: Pkcs11Key, *, is_only: bool) -> TokenKey:
    """The key that was loaded before, or now. If its token is unavailable, probes look for it."""
    place = (credential.digest, key.location)
    known = foundation.token_keys.get(place) or foundation.before.token_keys.get(place)
    if known is None:
        known = TokenKey(key, read_regular(credential.certificate_path).content)
        if place not in foundation.absent:
            try:
                known.adopt(instances_of(foundation.loaded).of(key.token).load(known))
            except OSError:
                if is_only:  # the key was found a moment ago
                    raise
    foundation.token_keys[place] = known
    return known


def token_plans(foundation: Foundation) -> dict[str, TokenPlan]:
    """Plan the use of each token with a used key."""
    config = foundation.loaded.config
    if config.hsm is None:
        return {}
    workers = worker_count(config)
    instances = instances_of(foundation.loaded)
    login = TokenLogin(instances, foundation.turns)
    keys = {
        name: tuple(key for key in foundation.token_keys.values() if key.token == name) for name in config.hsm.token
    }
    return {
        name: TokenPlan(
            config.hsm.token[name].signing_threads(workers),
            KeyProbe(of_token, login, instances),
            is_unusable=not any(key.is_loaded for key in of_token),
            is_refused=foundation.unusable.is_refused(name),
        )
        for name, of_token in keys.items()
        if of_token
    }
