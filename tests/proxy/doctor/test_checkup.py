"""What a check asks for and is given, unless it says otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.checkup import Lacking
from proxy.doctor.finding import Area
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, answering, checkup, configured


def test_a_check_runs_beside_others_and_has_ten_seconds() -> None:
    one = checkup("clock")
    assert (one.area, one.seconds, one.is_alone) == (Area.MACHINE, 10.0, False)


def test_what_there_is_is_given(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    loaded = configured(site.write(site.minimal))
    proxy = answering({"version": "1"})
    there = replace(NOTHING, configured=loaded, running=proxy)
    assert (there.loaded, there.proxy, there.status) == (loaded, proxy, proxy.status)


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(Lacking, match="no configuration was named"):
        _ = NOTHING.loaded
    with pytest.raises(Lacking, match="no running proxy answers"):
        _ = NOTHING.proxy
    assert NOTHING.status is None
