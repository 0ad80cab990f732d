"""What a bill is made from."""

from proxy.doctor.cbom.inventory import Inventory
from tests.proxy.doctor.cbom.bills import NOON, full


def test_an_empty_inventory_says_what_looked_and_when() -> None:
    empty = Inventory("1.2.3", NOON, is_observed=False)
    assert (empty.keys, empty.certificates, empty.listeners, empty.tokens) == ((), (), (), ())


def test_inventories_of_the_same_are_equal() -> None:
    assert full() == full()
