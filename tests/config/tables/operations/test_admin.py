"""`[admin]`: what may stand there, and what is refused."""

from ipaddress import ip_address

import pytest
from pydantic import ValidationError

from config.tables.operations.admin import AdminConfig
from config.values.addresses import Bind


def test_by_default_the_socket_is_where_commands_look_and_there_is_no_tcp() -> None:
    assert AdminConfig() == AdminConfig(socket=None, metrics_bind=())


@pytest.mark.parametrize("written", ["127.0.0.1:9464", ["127.0.0.1:9464"], Bind(ip_address("127.0.0.1"), 9464)])
def test_one_address_needs_no_list(written: object) -> None:
    assert AdminConfig.model_validate({"metrics_bind": written}).metrics_bind == (Bind(ip_address("127.0.0.1"), 9464),)


def test_socket_of_the_page_has_an_absolute_path() -> None:
    longest = "/" + "x" * 98
    assert AdminConfig.model_validate({"page_socket": longest}).page_socket == longest


def test_several_addresses() -> None:
    read = AdminConfig.model_validate({"socket": "run/admin.sock", "metrics_bind": ["127.0.0.1:1", "[::1]:2"]})
    assert [str(bind) for bind in read.metrics_bind] == ["127.0.0.1:1", "[::1]:2"]
    assert read.socket == "run/admin.sock"


@pytest.mark.parametrize(
    "table",
    [
        {"metrics_bind": 9464},
        {"metrics_bind": ["nowhere"]},
        {"socket": ""},
        {"token": "secret"},
        {"page_socket": "run/page.sock"},
        {"page_socket": "/" + "x" * 99},
    ],
)
def test_what_cannot_be_used_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AdminConfig.model_validate(table)
