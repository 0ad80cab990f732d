"""Rules about keys in tokens that span several tables. Pure: values in, problems out."""

from collections.abc import Iterator

from config.crosschecks.checks import Checks
from config.schema import Config, CredentialConfig
from config.tables.hsm import HsmConfig
from config.values.omissions import Omissions
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import Location, Problem


def token_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """What does not fit together between `[hsm]` and the keys of credentials."""
    checks = _TokenChecks(config, file, omissions)
    if config.hsm is not None:
        yield from checks.tokens(config.hsm)
        yield from checks.provider()
    for table, name, key in (
        ("sealing", "key", config.sealing.key),
        ("audit", "checkpoint_key", config.audit.checkpoint_key),
    ):
        if isinstance(key, Pkcs11Uri):
            yield from checks.key((table, name), key)
    for identity, settings in config.identity.items():
        for place, credential in settings.placed_credentials:
            if isinstance(credential, CredentialConfig):
                yield from checks.keys(("identity", identity, *place), credential)


class _TokenChecks(Checks):
    def tokens(self, hsm: HsmConfig) -> Iterator[Problem]:
        seen: list[str] = []
        for name, names in hsm.names.items():
            same = next((other for other in seen if hsm.names[other] == names), None)
            if same is not None:
                found = f"a token that [hsm.token.{same}] already names"
                yield self.error(("hsm", "token", name), found, "each token once: another label, serial or slot")
            seen.append(name)

    def provider(self) -> Iterator[Problem]:
        for index, name in enumerate(self.config.openssl.providers):
            if name == "pkcs11":
                yield self.error(
                    ("openssl", "providers", index),
                    '"pkcs11"',
                    "no such entry, because [hsm] loads this provider with its settings",
                )

    def keys(self, place: Location, credential: CredentialConfig) -> Iterator[Problem]:
        owners: dict[str, int] = {}
        for index, key in enumerate(credential.key):
            if isinstance(key, Pkcs11Uri):
                at = (*place, "key", index) if len(credential.key) > 1 else (*place, "key")
                yield from self.key(at, key, owners, index)

    def key(
        self, place: Location, uri: Pkcs11Uri, owners: dict[str, int] | None = None, index: int = 0
    ) -> Iterator[Problem]:
        owners = {} if owners is None else owners
        hsm = self.config.hsm
        if hsm is None:
            if not self.omissions.touch("hsm"):
                yield self.error(
                    place, f'"{uri}", but no table [hsm]', "a table [hsm] with its module, and [hsm.token.NAME]"
                )
            return
        names = hsm.tokens_of(uri)
        if len(names) > 1:
            found = f'"{uri}", which could be in {" or ".join(names)}'
            yield self.error(place, found, "one token: add serial= or slot-id= to the URI, as in its [hsm.token.NAME]")
        if not names and not self.omissions.touch("hsm", "token"):
            allowed = f"a token of [hsm.token.NAME], found by its label, serial or slot: {', '.join(sorted(hsm.token))}"
            yield self.error(place, f'"{uri}", whose token is unknown', allowed)
        for name in names[:1]:
            first = owners.setdefault(name, index)
            if first != index:
                found = f'"{uri}", a second key in the token {name}'
                yield self.error(
                    place, found, "each token once, because the keys of a list replace each other when a token fails"
                )
