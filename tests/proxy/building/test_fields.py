"""What routes change in fields, as it is built."""

from config.route_fields import FieldsConfig
from proxy.building.fields import field_edits
from proxy.routes.security_fields import security_defaults
from proxy.routes.templates import RequestValues


def unasked() -> RequestValues:
    raise AssertionError("no value depends on the request")


def test_each_key_has_its_effect() -> None:
    fields = FieldsConfig.model_validate({"remove": ["A"], "set": {"B": "1"}, "add": {"C": "2"}})
    edits = field_edits(fields, security_defaults(hsts=False)[:1])
    assert edits is not None
    lines = edits.edited([b"a: 0\r\n", b"b: 0\r\n", b"c: 0\r\n"], unasked)
    assert lines == [b"c: 0\r\n", b"B: 1\r\n", b"C: 2\r\n", b"X-Content-Type-Options: nosniff\r\n"]


def test_route_without_them_has_none() -> None:
    assert field_edits(None) is None
    assert field_edits(None, security_defaults(hsts=True)) is not None
