"""All standards that `plexigate doctor standards` knows. Pure."""

from typing import Final

from proxy.doctor.standards.assessment import Standard
from proxy.doctor.standards.cnsa import cnsa_2
from proxy.doctor.standards.information_security import iso_27001
from proxy.doctor.standards.key_lifetimes import sp_800_57
from proxy.doctor.standards.post_quantum import fips_203, fips_204, fips_205
from proxy.doctor.standards.tls_guidelines import sp_800_52

DISCLAIMER: Final = (
    "This is not a certificate, and no statement of conformity. It is evidence that an assessor can use: what this"
    " configuration shows, in our words. The standards themselves decide."
)
STANDARDS: Final = (
    Standard("fips-203", "FIPS 203 (August 2024), ML-KEM", fips_203),
    Standard("fips-204", "FIPS 204 (August 2024), ML-DSA", fips_204),
    Standard("fips-205", "FIPS 205 (August 2024), SLH-DSA", fips_205),
    Standard("sp-800-57", "NIST SP 800-57 Part 1 Revision 5 (May 2020), key management", sp_800_57),
    Standard("sp-800-52", "NIST SP 800-52 Revision 2 (August 2019), TLS", sp_800_52),
    Standard("cnsa-2.0", "NSA CNSA 2.0 (advisory of 2022, questions and answers of December 2024)", cnsa_2),
    Standard("iso-27001", "ISO/IEC 27001:2022, Annex A", iso_27001),
)
