"""What is wrong with a key: by default nothing that passes, or that anybody knows of."""

from proxy.building.token_fault import Unusable


def test_a_fault_is_one_of_the_configuration_unless_it_says_otherwise() -> None:
    fault = Unusable("which is not there", "one that is")
    assert (fault.may_pass, fault.is_expected) == (False, False)
