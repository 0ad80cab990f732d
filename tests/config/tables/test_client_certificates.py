"""The shape of `client_certificates`."""

import pytest
from pydantic import ValidationError

from config.tables.client_certificates import ClientCertificateMode, ClientCertificatesConfig


def test_clients_must_show_one_unless_the_file_says_otherwise() -> None:
    settings = ClientCertificatesConfig.model_validate({"ca": "clients.pem"})
    assert (settings.mode, settings.crl) == (ClientCertificateMode.REQUIRE, None)


@pytest.mark.parametrize(
    "table", [{}, {"ca": ""}, {"ca": "a", "mode": "off"}, {"ca": "a", "crl": ["b"]}, {"ca": "a", "depth": 1}]
)
def test_everything_else_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClientCertificatesConfig.model_validate(table)
