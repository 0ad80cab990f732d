"""What keys are called where they are made."""

from certs.keys.generating import ALGORITHMS
from certs.keys.home import HomeFailed, KeyName


def test_a_name_says_whose_key_it_is_and_which_of_several() -> None:
    assert str(KeyName("chat", ALGORITHMS["ec-p256"], 3)) == "chat.ecdsa-p256.v3"


def test_a_failure_says_where() -> None:
    assert str(HomeFailed("plexi", "the token is gone")) == 'keys at "plexi": the token is gone'
