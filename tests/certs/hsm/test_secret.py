"""A secret shows itself to nobody who does not ask for it by name."""

import pickle

import pytest

from certs.hsm.secret import Secret


def test_a_secret_reveals_its_text() -> None:
    assert Secret("1234").reveal() == "1234"


def test_nothing_shows_it() -> None:
    secret = Secret("1234")
    assert "1234" not in f"{secret} {secret!r} {[secret]} {secret!s}"


def test_it_is_neither_compared_nor_hashed_nor_pickled() -> None:
    with pytest.raises(TypeError):
        assert Secret("1234") == Secret("1234")
    with pytest.raises(TypeError):
        hash(Secret("1234"))
    with pytest.raises(TypeError):
        pickle.dumps(Secret("1234"))
