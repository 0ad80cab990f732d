"""The shape of `[ct]`."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from config.tables.ct import CtConfig


def test_nothing_is_looked_at_unless_the_file_says_so() -> None:
    settings = CtConfig()
    assert (settings.log_list, settings.watch, settings.known_serials) == (None, (), ())
    one = CtConfig.model_validate({"watch": "https://ct.test/", "watch_every": "5m", "known_serials": ["1f"]})
    assert (one.watch, one.watch_every) == (("https://ct.test/",), timedelta(minutes=5))


@pytest.mark.parametrize("table", [{"watch": "ct.test"}, {"known_serials": ["0x1F"]}, {"known_serials": ["01"]}])
def test_everything_else_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CtConfig.model_validate(table)
