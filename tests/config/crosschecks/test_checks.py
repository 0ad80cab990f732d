"""What each check across tables says, where parts of the file were refused before."""

from config.crosschecks.checks import Checks
from config.schema import Config
from config.values.omissions import Omissions

REFUSED = Omissions(frozenset({("route", 0), ("upstream", "other")}))


def test_a_problem_counts_as_the_file_does_and_an_entry_that_was_refused_is_known() -> None:
    config = Config.model_validate({"upstream": {"chat": {"servers": ["http://127.0.0.1:1"]}}})
    checks = Checks(config, "f", REFUSED)
    assert str(checks.error(("route", 0, "host"), "x", "y")) == "f: route[1].host: found x; allowed: y"
    assert str(checks.warning(("route", 0), "x", "y")) == "f: route[1]: warning: found x; better: y"
    assert checks.names("upstream") == {"chat", "other"}
