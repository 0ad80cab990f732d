"""Which keys of one kind an identity may have: replicas, each with a certificate of its own.

TLS uses one of them for a handshake, and another one if its token fails. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from config.crosschecks.checks import Checks
from config.schema import AcmeIssuerConfig, Config, CredentialConfig, IdentityConfig, IssuedCredential
from config.tables.rotation import InternalIssuerConfig, kind_of_algorithm
from config.values.omissions import Omissions
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import Problem

# Let's Encrypt issues 5 for the same names in 7 days. One is left for a rotation by command.
_MOST_OF_PUBLIC_CA: Final = 4


@dataclass(frozen=True, slots=True)
class Replica:
    """The keys of one certificate: `algorithm` as of `KeySpec`, `shown` as in the file.

    `tokens` are the NAMEs of their tokens; none: the key is outside tokens.
    """

    algorithm: str
    tokens: tuple[str, ...]
    is_spread: bool
    shown: str

    @classmethod
    def of_issued(cls, one: IssuedCredential) -> "Replica":
        tokens = (one.key.place,) if one.key.is_in_token else ()
        return cls(one.key.algorithm, tokens, one.spread, f'"{one.key}"')

    @property
    def kind(self) -> str:
        return kind_of_algorithm(self.algorithm)


def replica_fault(one: Replica, before: Sequence[Replica]) -> tuple[str, str] | None:
    """Why an identity cannot have `one` in addition to those `before` it: what was found, and what
    is allowed.
    """
    others = [other for other in before if other.kind == one.kind]
    outside = next((other for other in others if not other.tokens), None)
    if outside is not None and not one.tokens:
        return (
            f"{one.shown}, a second {one.kind} key outside tokens in addition to {outside.shown}",
            "one of them: TLS would only ever use one of two keys that are always there",
        )
    if outside is not None:
        return (
            f"{one.shown}, which would never sign, because {outside.shown} comes before it and is always there",
            "the key outside tokens as the last one",
        )
    for token in one.tokens:
        same = next((other for other in others if token in other.tokens), None)
        if same is not None:
            return (
                f"{one.shown}, a second {one.kind} key in the token {token} in addition to {same.shown}",
                "each token once, because the keys of one kind replace each other when a token fails",
            )
    if any(other.is_spread != one.is_spread for other in others if one.tokens):
        return f"{one.shown}, with another spread than {others[0].shown}", "the same spread for all keys of one kind"
    return None


def replica_weakness(one: Replica, before: Sequence[Replica]) -> tuple[str, str] | None:
    """What is allowed for `one`, and worth a warning: what was found, and what is better."""
    others = [other for other in before if other.kind == one.kind]
    for other in others:
        if other.algorithm != one.algorithm:  # `signature_schemes.ranking`
            return (
                f"{one.shown}, of another algorithm than {other.shown}: TLS chooses by the algorithm, not by order or "
                "spread, and waits for up to 2 s before the other one signs",
                "the same algorithm for all keys of one kind",
            )
    if one.tokens or not others:
        return None
    found = f"{one.shown}, which signs when no token does, and can be copied from the disk"
    return found, "a key in another token"


def replica_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """What is wrong with the keys of each identity, as far as the file tells their kind: for those
    of `certificate`, see `certs.identities.identities`.
    """
    checks = _ReplicaChecks(config, file, omissions)
    for name, identity in config.identity.items():
        yield from checks.issued(name, identity.issued)
        yield from checks.spread(name, identity)
    yield from checks.issuers()


class _ReplicaChecks(Checks):
    def issued(self, identity: str, credentials: Sequence[IssuedCredential]) -> Iterator[Problem]:
        before: list[Replica] = []
        for one in credentials:
            place = ("identity", identity, *one.place)
            replica = Replica.of_issued(one)
            if (fault := replica_fault(replica, before)) is not None:
                yield self.error(place, *fault)
            elif (weakness := replica_weakness(replica, before)) is not None:
                yield self.warning(place, *weakness)
            before.append(replica)
        public = [one for one in credentials if isinstance(self.config.issuer.get(one.issuer), AcmeIssuerConfig)]
        if len(public) > _MOST_OF_PUBLIC_CA:
            found = f"{len(public)} certificates for the same names from ACME issuers"
            better = f"at most {_MOST_OF_PUBLIC_CA}: Let's Encrypt issues 5 for the same names in 7 days, and a rotation needs one of them"
            yield self.warning(("identity", identity, "credential"), found, better)

    def issuers(self) -> Iterator[Problem]:
        """Warn of a CA whose key is in the token of a replica: then all depend on this token."""
        for name, issuer in self.config.issuer.items():
            if not isinstance(issuer, InternalIssuerConfig) or not issuer.key.is_in_token:
                continue
            if any(self._depends(one, name, issuer.key.place) for one in self.config.identity.values()):
                found = f'"{issuer.key}", in the token of a replica: while it is unavailable, no replica is renewed'
                yield self.warning(("issuer", name, "key"), found, "a key outside the tokens of the replicas")

    def _depends(self, identity: IdentityConfig, issuer: str, token: str) -> bool:
        """Whether a key is in the token of the issuer, and another one has its certificate from it.

        Of a key that Plexigate has not made the file does not tell the kind: it may be a replica.
        """
        renewed = {one.key.kind for one in identity.issued if one.issuer == issuer and one.key.place != token}
        there = {one.key.kind for one in identity.issued if one.key.place == token}
        return not renewed.isdisjoint(there) or (bool(renewed) and token in self._tokens_of(identity))

    def _tokens_of(self, identity: IdentityConfig) -> set[str]:
        """The tokens of the keys that Plexigate has not made."""
        hsm = self.config.hsm
        own = [key for one in identity.credentials if isinstance(one, CredentialConfig) for key in one.key]
        return {name for key in own if hsm is not None and isinstance(key, Pkcs11Uri) for name in hsm.tokens_of(key)}

    def spread(self, name: str, identity: IdentityConfig) -> Iterator[Problem]:
        (place, only), *others = identity.placed_credentials
        if others or (isinstance(only, CredentialConfig) and len(only.key) > 1):
            return
        if only.spread:
            allowed = "a list of keys to spread the signatures over, or false"
            yield self.error(("identity", name, *place, "spread"), "true, with one key", allowed)
