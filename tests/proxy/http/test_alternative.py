"""What answers say about HTTP/3."""

from proxy.http.alternative import CLEAR, NO_ALTERNATIVE, AlternativeService, http3_at


def test_value_names_the_port_and_how_long_it_is_remembered() -> None:
    """RFC 7838 section 3."""
    assert http3_at(443, 3_600) == b'h3=":443"; ma=3600'


def test_nothing_is_said_until_there_is_something_to_say() -> None:
    service = AlternativeService()
    assert (service.line, service.fields) == (b"", [])
    assert (NO_ALTERNATIVE.line, NO_ALTERNATIVE.fields) == (b"", [])
    service.say(CLEAR)
    assert (service.line, service.fields) == (b"Alt-Svc: clear\r\n", [(b"alt-svc", b"clear")])
    service.say(b"")
    assert (service.line, service.fields) == (b"", [])


def test_list_of_fields_is_another_one_when_another_value_is_said() -> None:
    """The encoder of HTTP/2 knows a list by its identity."""
    service = AlternativeService()
    service.say(http3_at(443, 1))
    before = service.fields
    service.say(CLEAR)
    assert before == [(b"alt-svc", b'h3=":443"; ma=1')]
    assert service.fields is not before
