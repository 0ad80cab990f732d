"""Where HTTP/3 is served, by which name it is tried, and what is published."""

from typing import Any

import pytest

from config.schema import Config
from proxy.quic.doors import Http3Door, http3_doors, https_records


def configured(listener: dict[str, Any], **identities: dict[str, Any]) -> Config:
    proof = {"certificate": "c.pem", "key": "k.pem"}
    return Config.model_validate(
        {
            "listener": {"public": {"http3": True, **listener}, "old": {"bind": "127.0.0.1:1"}},
            "identity": {name: {**proof, **one} for name, one in identities.items()},
        }
    )


@pytest.mark.parametrize(
    ("bind", "in_use", "address"),
    [
        ("0.0.0.0:443", "0.0.0.0:443", ("127.0.0.1", 443)),
        ("[::]:443", "[::]:443", ("::1", 443)),
        ("127.0.0.2:0", "127.0.0.2:4433", ("127.0.0.2", 4433)),
    ],
)
def test_door_is_the_first_address_in_use(bind: str, in_use: str, address: tuple[str, int]) -> None:
    config = configured({"bind": bind}, chat={"names": ["chat.test"]})
    doors = http3_doors(config, {"public": [in_use, "192.0.2.1:1"], "old": ["127.0.0.1:1"]})
    assert doors == {"public": Http3Door(address, address[1], "chat.test")}
    assert http3_doors(config, {}) == {}


def test_clients_are_told_the_port_that_they_reach() -> None:
    config = configured({"bind": "0.0.0.0:8443", "http3_port": 443}, chat={"names": ["chat.test"]})
    assert http3_doors(config, {"public": ["0.0.0.0:8443"]})["public"].port == 443


def test_name_is_one_that_needs_no_certificate_of_the_client() -> None:
    strict = {"names": ["strict.test"], "client_certificates": {"ca": "ca.pem"}}
    config = configured({"bind": "0.0.0.0:443"}, strict=strict, chat={"names": ["*.chat.test"]})
    assert http3_doors(config, {"public": ["0.0.0.0:443"]})["public"].name == "check.chat.test"
    config = configured({"bind": "0.0.0.0:443"}, strict=strict)
    assert http3_doors(config, {"public": ["0.0.0.0:443"]})["public"].name == "strict.test"


def test_address_is_no_name_to_ask_for() -> None:
    config = configured({"bind": "0.0.0.0:443"}, chat={"names": ["192.0.2.1", "chat.test"]})
    assert http3_doors(config, {"public": ["0.0.0.0:443"]})["public"].name == "chat.test"
    config = configured({"bind": "0.0.0.0:443"}, chat={"names": ["192.0.2.1"]})
    assert http3_doors(config, {"public": ["0.0.0.0:443"]})["public"].name == ""


def test_records_have_each_name_once_with_the_protocols() -> None:
    """RFC 9460 section 7.1."""
    names = {"names": ["chat.test", "192.0.2.1", "*.chat.test"]}
    config = configured({"bind": "0.0.0.0:443"}, chat=names, other=names)
    assert https_records(config, "public", 443) == [
        'chat.test. 300 IN HTTPS 1 . alpn="h3,h2"',
        '*.chat.test. 300 IN HTTPS 1 . alpn="h3,h2"',
    ]


def test_record_of_another_port_has_it_in_its_name() -> None:
    """RFC 9460 section 9.1."""
    names = {"names": ["chat.test", "*.chat.test"]}
    config = configured({"bind": "0.0.0.0:8443", "http": ["http/1.1"]}, chat=names)
    assert https_records(config, "public", 8443) == ['_8443._https.chat.test. 300 IN HTTPS 1 chat.test. alpn="h3"']
