"""The shape of `[backup]`."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from config.tables.backup import BackupConfig


def test_without_a_directory_none_is_expected() -> None:
    one = BackupConfig()
    assert (one.directory, one.recipients, one.keep, one.alert_after) == (None, (), 14, timedelta(days=2))


@pytest.mark.parametrize(
    "values", [{"keep": 0}, {"keep": "2"}, {"alert_after": "0s"}, {"alert_after": "soon"}, {"directory": ""}]
)
def test_what_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BackupConfig.model_validate(values)
