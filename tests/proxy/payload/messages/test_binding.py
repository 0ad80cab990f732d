"""A digest is that of one place only."""

from itertools import combinations

from proxy.payload.messages.binding import BoundExchange, Direction
from tests.payloads import PLACE


def test_every_part_of_a_place_counts() -> None:
    others = [
        PLACE.digest(Direction.REQUEST),
        PLACE.digest(Direction.RESPONSE),
        PLACE.digest(Direction.RESPONSE, b"id"),
        *(PLACE._replace(**{part: b"other"}).digest(Direction.REQUEST) for part in BoundExchange._fields),
        PLACE._replace(host=b"chat.test/", target=b"letters?room=1").digest(Direction.REQUEST),
        PLACE._replace(method=b"POSTchat", host=b".test").digest(Direction.REQUEST),
    ]
    assert all(one != other for one, other in combinations(others, 2))
    assert PLACE.digest(Direction.REQUEST) == BoundExchange(*PLACE).digest(Direction.REQUEST)


def test_known_answer() -> None:
    """What clients in other languages have to come to."""
    digest = BoundExchange(b"GET", b"chat.test", b"/", b"chat").digest(Direction.RESPONSE, bytes(16))
    assert digest.hex() == "f1537389d1a75db4e8d2c3be83f851634675e7c7d0e5c35f191e1d8b6c409ace"
