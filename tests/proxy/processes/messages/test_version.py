"""The version changes with each change of a definition, and is the same in every process of the same files."""

import re
import subprocess
import sys
from dataclasses import dataclass, make_dataclass
from enum import StrEnum

import pytest

from config.schema import LogFormat
from proxy.processes.messages.questions import Begin, LogSettings
from proxy.processes.messages.version import VERSION, version_of
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


def test_first_question_names_it_in_every_version() -> None:
    begin = Begin(VERSION, None, LogSettings(LogFormat.JSON, has_colours=False, queue_lines=10))
    kind, body = encode_question(begin)
    assert kind == "Begin"
    assert body["version"] == VERSION
