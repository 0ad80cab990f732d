"""The head of the report."""

import re

from proxy.processes.hot_path import hot_path
from tests.bench import machine


def test_head_names_when_where_and_with_what() -> None:
    head = machine.described()
    assert list(head) == ["date", "code", "machine", "nginx", "haproxy", "openssl", "python", "load"]
    assert head["code"] == hot_path()
    assert re.match(r"\d+ cores?, \S", head["machine"])
    for name in ("nginx", "haproxy", "openssl", "python"):
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", head[name])
    assert re.fullmatch(r"\d+\.\d", head["load"])
