"""Where lines go, in which form, and which of them."""

import tomllib

import pytest

from config.tables.operations.log import LogConfig, LogField, LogFormat, log_problems
from config.values.omissions import Omissions


def log(text: str) -> LogConfig:
    return LogConfig.model_validate(tomllib.loads(text))


def check(text: str, *omitted: tuple[str | int, ...]) -> list[str]:
    found = log_problems(log(text), ["chat.test/", "chat.test/api"], "f", Omissions(frozenset(omitted)))
    return [str(problem) for problem in found]


def test_everything_can_be_said() -> None:
    text = 'format = "combined"\nfields = ["user_agent", "wire_bytes"]\nsample = { "chat.test/" = 100 }'
    assert (log(text).format, log(text).fields) == (LogFormat.COMBINED, (LogField.USER_AGENT, LogField.WIRE_BYTES))
    assert log(text).sample == {"chat.test/": 100}
    assert check(text) == []


@pytest.mark.parametrize(
    "text",
    ['format = "clf"', 'fields = "referer"', 'fields = ["cookie"]', "sample = 5", 'sample = { "chat.test/" = 1 }'],
)
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        log(text)


def test_sample_names_routes() -> None:
    text = 'sample = { "chat.test/ap" = 100 }'
    (problem,) = check(text)
    assert problem.startswith(
        'f: log.sample."chat.test/ap": found "chat.test/ap"; allowed: a route as the log names it'
    )
    assert check(text, ("route", 0)) == []


def test_field_is_named_once() -> None:
    (problem,) = check('fields = ["referer", "referer"]')
    assert problem.startswith('f: log.fields[1]: warning: found "referer" again')
