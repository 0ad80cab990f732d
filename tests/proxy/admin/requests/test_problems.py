"""What went wrong, as RFC 9457 writes it."""

import json

from proxy.admin.requests.problems import PROBLEM, json_answer, problem


def body(response: object) -> object:
    """The document of an answer."""
    content = getattr(response, "body", None)
    assert isinstance(content, bytes)
    assert content.endswith(b"\n")
    return json.loads(content)


def test_a_problem_has_the_members_of_the_standard_and_its_own() -> None:
    response = problem(503, "it is not ready", {"Retry-After": "1"}, {"reasons": []})
    assert (response.status, response.content_type, response.headers["Retry-After"]) == (503, PROBLEM, "1")
    assert body(response) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "it is not ready",
        "reasons": [],
    }


def test_an_answer_is_json() -> None:
    response = json_answer({"a": 1}, 409)
    assert (response.status, response.content_type, body(response)) == (409, "application/json", {"a": 1})
