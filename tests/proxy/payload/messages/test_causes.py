"""Causes are told apart by what clients and operators see of them, and say nothing that came from outside."""

from proxy.http.problems import TITLES
from proxy.payload.messages.causes import Cause, PayloadFault


def test_each_cause_has_a_type_of_its_own_and_a_status_that_the_proxy_can_write() -> None:
    assert len({cause.type for cause in Cause}) == len(Cause)
    assert len({cause.reason for cause in Cause}) == len(Cause)
    assert {cause.status for cause in Cause} <= set(TITLES)


def test_problem_says_what_to_do() -> None:
    assert Cause.RETIRED_KEY.members == {
        "type": "urn:plexigate:problem:payload-key-retired",
        "title": "Payload Key Retired",
        "remedy": Cause.UNKNOWN_KEY.remedy,
    }
    assert "clock" in Cause.EXPIRED.remedy
    assert str(PayloadFault(Cause.EXPIRED)) == "the token is older than this proxy accepts"
    assert Cause.EXPIRED.reason == "payload: expired"
