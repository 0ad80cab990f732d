"""What routes demand of client certificates, against what the identities ask for. Pure."""

from collections.abc import Iterator

from config.crosschecks.checks import Checks
from config.schema import Config
from config.values.addresses import name_matches
from config.values.omissions import Omissions
from config.values.problems import Problem


def client_certificate_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every route that demands a certificate for which no client is asked."""
    if omissions.touch("identity"):
        return  # the certificates may be asked for in the part that could not be read
    for index, route in enumerate(config.route):
        if route.client_certificate is None:
            continue
        serving = _serving(config, route.host)
        if serving and not any(config.identity[name].client_certificates for name in serving):
            tables = " or ".join(f"[identity.{name}]" for name in serving)
            allowed = f"client_certificates in {tables}: now clients are not asked, and the route refuses every request"
            place = ("route", index, "client_certificate")
            yield Checks(config, file, omissions).error(place, f'"{route.client_certificate}"', allowed)


def _serving(config: Config, host: str) -> list[str]:
    """The identities that serve a host of a route: by an exact name, else by a wildcard.

    In a route a wildcard stands for one label or more.
    """
    names = [(identity, name) for identity, settings in config.identity.items() for name in settings.names]
    if host.startswith("*."):
        return list(dict.fromkeys(identity for identity, name in names if name.endswith(host[1:])))
    exact = [identity for identity, name in names if name == host]
    return exact or [identity for identity, name in names if name_matches(name, host)]
