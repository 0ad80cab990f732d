"""The version changes with each change of a definition, and is the same in every process of the same files."""

import re
import subprocess
import sys
from dataclasses import dataclass, make_dataclass
from enum import StrEnum

import pytest

from config.schema import LogFormat
from proxy.processes.messages.codec import MessageMalformed
from proxy.processes.messages.questions import Begin, LogSettings
from proxy.processes.messages.refusals import OtherVersion, QuestionRefused
from proxy.processes.messages.version import VERSION, decode_beginning, version_of
from proxy.processes.messages.wire import encode_question


@dataclass(frozen=True)
class Inner:
    number: int


def test_is_a_number_and_a_digest() -> None:
    assert re.fullmatch(r"\d+-[0-9a-f]{12}", VERSION)


def test_is_the_same_in_another_process() -> None:
    program = "from proxy.processes.messages.version import VERSION; print(VERSION)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == VERSION


@pytest.mark.parametrize(
    "others",
    [
        {"nmber": int, "inner": Inner},
        {"number": str, "inner": Inner},
        {"number": int, "inner": make_dataclass("Inner", [("number", str)])},
        {"number": int, "inner": make_dataclass("Inner", [("number", int), ("more", int)])},
        {"number": StrEnum("Of", {"A": "a"}), "inner": Inner},
        {"number": int},
    ],
)
def test_another_field_or_type_is_another_version(others: dict[str, type]) -> None:
    before = make_dataclass("Message", [("number", int), ("inner", Inner)])
    assert version_of(before) == version_of(make_dataclass("Message", [("number", int), ("inner", Inner)]))
    assert version_of(before) != version_of(make_dataclass("Message", others.items()))


def test_another_name_or_one_message_more_is_another_version() -> None:
    assert version_of(Inner) != version_of(make_dataclass("Other", [("number", int)]))
    assert version_of(Inner) != version_of(Inner, Begin)


class TestFirstQuestion:
    BEGIN = Begin(VERSION, None, LogSettings(LogFormat.JSON, has_colours=False, queue_lines=10))

    def test_names_the_version_under_the_same_name_for_ever(self) -> None:
        kind, body = encode_question(self.BEGIN)
        assert (kind, body["version"]) == ("Begin", VERSION)

    def test_of_this_version_is_read(self) -> None:
        assert decode_beginning(*encode_question(self.BEGIN)) == self.BEGIN

    @pytest.mark.parametrize(
        ("body", "theirs"),
        [
            ({"version": "0-000000000000", "unlike": ["all", "that", "is", "known"]}, "0-000000000000"),
            ({"slot": 0, "format": "json"}, ""),
            ({"version": 7}, ""),
        ],
    )
    def test_of_another_version_is_refused_before_anything_else_is_read(
        self, body: dict[str, object], theirs: str
    ) -> None:
        with pytest.raises(QuestionRefused) as caught:
            decode_beginning("Begin", body)
        assert caught.value.reason == OtherVersion(VERSION, theirs)

    def test_misspelt_field_of_this_version_is_refused_by_name(self) -> None:
        _, body = encode_question(self.BEGIN)
        body["colunm"] = body.pop("column")
        with pytest.raises(MessageMalformed, match=r"message Begin\.column: found nothing"):
            decode_beginning("Begin", body)

    def test_kind_that_is_unknown_is_of_a_parent_that_had_no_versions(self) -> None:
        with pytest.raises(QuestionRefused) as caught:
            decode_beginning("begin", {"slot": 0, "format": "json"})
        assert caught.value.reason == OtherVersion(VERSION, "")

    def test_is_the_first(self) -> None:
        with pytest.raises(QuestionRefused, match="a question before the beginning: Ping"):
            decode_beginning("Ping", {})
