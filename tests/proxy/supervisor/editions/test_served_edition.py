"""What is served has one holder, which numbers editions."""

from proxy.supervisor.editions.served_edition import ServedEdition
from tests.configurations import Site
from tests.workforces import edition_of


def test_numbers_go_on_from_the_first_edition_and_are_not_given_twice(site: Site) -> None:
    served = ServedEdition(edition_of(site, site.minimal, number=7))
    assert [served.next_number(), served.next_number()] == [8, 9]
    assert served.edition.number == 7
    assert served.offers is None
