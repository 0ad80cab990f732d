"""The shape of `client_certificates`."""

import pytest
from pydantic import ValidationError

from config.tables.client_certificates import ClientCertificateMode, ClientCertificatesConfig, UnknownRevocation


def test_clients_must_show_one_unless_the_file_says_otherwise() -> None:
    settings = ClientCertificatesConfig.model_validate({"ca": "clients.pem"})
    assert (settings.mode, settings.crl) == (ClientCertificateMode.REQUIRE, None)
    assert not settings.checks_revocation


@pytest.mark.parametrize("lists", [{"crl": "a"}, {"crl_url": "http://a.test/"}, {"crl_url": ["http://a.test/"]}])
def test_revocation_is_checked_where_there_are_lists(lists: dict[str, object]) -> None:
    settings = ClientCertificatesConfig.model_validate({"ca": "clients.pem", **lists})
    assert settings.checks_revocation
    assert settings.crl_unknown is UnknownRevocation.REFUSE


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"ca": ""},
        {"ca": "a", "mode": "off"},
        {"ca": "a", "crl": ["b"]},
        {"ca": "a", "depth": 1},
        {"ca": "a", "crl_url": "ftp://a"},
    ],
)
def test_everything_else_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClientCertificatesConfig.model_validate(table)
