"""Certificates: what is told of them is what its types say, key by key and in their order.

The lines of a rotation are held against theirs where rotations are tried: `test_offline` and
`test_certificate_control`.
"""

from certs.rotation.due import Due, RenewalReason
from certs.rotation.planning import RotationStatus
from certs.rotation.urgency import Urgency
from proxy.api.certificates import CertificateRow
from proxy.rotation.listing import Row, document
from tests.certs.authority import DAY, NOW
from tests.certs.rotation.test_due import CURRENT, WANTED
from tests.parts import differences


def rows() -> list[CertificateRow]:
    """A certificate that serves, and one that is missing."""
    standing = RotationStatus(Due(NOW + DAY, RenewalReason.LIFETIME), Urgency.LATE, 2, 1.26)
    serves = Row(("chat", "ec"), WANTED, CURRENT, standing, 3, "abc", "the CA is down", is_running=True)
    return [document(serves, NOW), document(Row(("chat", "rsa"), WANTED, None, None), NOW)]


def test_rows_are_as_their_type_says() -> None:
    assert list(differences(rows(), list[CertificateRow])) == []
