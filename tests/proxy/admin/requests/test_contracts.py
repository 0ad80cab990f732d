"""What the contracts say themselves: the sentence of an error."""

from proxy.admin.requests.contracts import UnknownServer


def test_an_unknown_server_is_one_sentence_with_what_there_is() -> None:
    error = UnknownServer("chat", "http://a:1", ["chat/http://b:2", "files/unix:/run/files"])
    assert str(error) == "upstream chat has no server http://a:1; there are chat/http://b:2, files/unix:/run/files"
    assert str(UnknownServer("chat", "x", [])) == "upstream chat has no server x; there are none"
