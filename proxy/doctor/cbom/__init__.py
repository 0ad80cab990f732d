"""The cryptographic bill of materials: what is configured and observed, in CycloneDX 1.6.

The document is written here and not by `cyclonedx-python-lib`. As a dependency of the program that
library would bring ten packages, for one file of JSON; tests hold the document against the schema
that it ships.
"""
