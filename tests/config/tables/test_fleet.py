"""The table of a fleet."""

import pytest
from pydantic import ValidationError

from config.tables.fleet import FleetConfig

FILES = {"certificate": "a.pem", "key": "a.key"}


def test_a_node_is_by_itself_unless_the_file_says_otherwise() -> None:
    settings = FleetConfig()
    assert (settings.etcd, settings.name, settings.prefix) == ((), None, "/plexigate")
    one = FleetConfig.model_validate({"etcd": "https://10.0.0.1:2379", "name": "edge-1", "ca": "ca.pem", **FILES})
    assert (one.etcd, one.certificate, one.key) == (("https://10.0.0.1:2379",), "a.pem", "a.key")


@pytest.mark.parametrize("address", ["http://127.0.0.1:2379", "http://[::1]:2379", "http://localhost:2379"])
def test_an_etcd_of_this_machine_needs_no_tls(address: str) -> None:
    assert FleetConfig.model_validate({"etcd": [address], "name": "a"}).etcd == (address,)


@pytest.mark.parametrize(
    "table",
    [
        {"etcd": "10.0.0.1:2379", "name": "a"},
        {"etcd": "http://10.0.0.1:2379", "name": "a"},
        {"etcd": "http://etcd.example.org:2379", "name": "a"},
        {"name": "a b"},
        {"certificate": "a.pem"},
        {"key": "a.key"},
        {"user": "a"},
        {"password_file": "a.txt"},
        {"prefix": "plexigate"},
        {"prefix": "/"},
        {"prefix": "/a//b"},
    ],
)
def test_everything_else_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FleetConfig.model_validate(table)
