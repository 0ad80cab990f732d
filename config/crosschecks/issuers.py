"""Rules about ACME issuers that span several tables. Pure: values in, problems out."""

from collections.abc import Iterator

from config.crosschecks.checks import Checks
from config.schema import Config, IdentityConfig
from config.tables.issuers import AcmeChallenge, AcmeIssuerConfig
from config.values.addresses import parse_ip
from config.values.omissions import Omissions
from config.values.problems import Problem, listed, shown


def acme_problems(config: Config, file: str, omissions: Omissions) -> list[Problem]:
    """Answer what does not fit together; nothing that may only follow from what `config` lacks."""
    checks = _AcmeChecks(config, file, omissions)
    return [*checks.fallbacks(), *checks.http(), *checks.credentials(), *checks.trust()]


class _AcmeChecks(Checks):
    def fallbacks(self) -> Iterator[Problem]:
        acme = self._acme()
        known = acme.keys() | self.omissions.names("issuer")
        for name, issuer in acme.items():
            for index, other in enumerate(issuer.fallback):
                place = ("issuer", name, "fallback", index)
                if other == name or other not in known:
                    allowed = f'the name of another issuer of type "acme": {listed(known - {name})}'
                    yield self.error(place, shown(other), allowed)
                elif other in issuer.fallback[:index]:
                    yield self.error(place, f'"{other}" again', "each issuer once")
                elif other in acme and (acme[other].root_file is None) != (issuer.root_file is None):
                    allowed = "an issuer that has a root_file as well, or none as well: chains are checked against one of both"
                    yield self.error(place, f'"{other}"', allowed)

    def http(self) -> Iterator[Problem]:
        if self.config.plain.bind or self.omissions.touch("plain"):
            return
        for name, issuer in self._acme().items():
            if issuer.challenge is AcmeChallenge.HTTP_01:
                allowed = 'plain.bind, such as ["0.0.0.0:80", "[::]:80"]: http-01 is asked on port 80'
                yield self.error(("issuer", name, "challenge"), '"http-01" without a listener for it', allowed)

    def credentials(self) -> Iterator[Problem]:
        acme = self._acme()
        for name, identity in self.config.identity.items():
            credentials = [one for one in identity.issued if one.issuer in acme]
            for one in credentials:
                if one.key.algorithm.startswith("mldsa"):
                    allowed = 'an ECDSA or RSA key: no public CA signs ML-DSA (an issuer of type "internal" does)'
                    yield self.error(("identity", name, *one.place), f'"{one.key}"', allowed)
            for used in dict.fromkeys(one.issuer for one in credentials):
                for asked in (used, *(one for one in acme[used].fallback if one in acme)):
                    yield from self._names(name, identity, asked, acme[asked].challenge)

    def trust(self) -> Iterator[Problem]:
        for name, issuer in self._acme().items():
            if issuer.ca_file is not None and issuer.root_file is None:
                found = "ca_file alone, so that certificates have to end in a root that the system trusts"
                better = "root_file too, if this is a CA of your own: its root, which is seldom the one of ca_file"
                yield self.warning(("issuer", name, "ca_file"), found, better)

    def _names(self, name: str, identity: IdentityConfig, issuer: str, kind: AcmeChallenge) -> Iterator[Problem]:
        for index, one in enumerate(identity.names):
            place = ("identity", name, "names", index)
            if one.startswith("*.") and kind is not AcmeChallenge.DNS_01:
                allowed = f'no wildcard, or issuer.{issuer}.challenge = "dns-01": nothing else proves one'
                yield self.error(place, f'"{one}"', allowed)
            if kind is AcmeChallenge.DNS_01 and parse_ip(one) is not None:  # RFC 8738 section 7
                allowed = f'no IP address, or another challenge than "dns-01" for issuer.{issuer}'
                yield self.error(place, f'"{one}"', allowed)

    def _acme(self) -> dict[str, AcmeIssuerConfig]:
        return {name: one for name, one in self.config.issuer.items() if isinstance(one, AcmeIssuerConfig)}
