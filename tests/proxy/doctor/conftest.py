"""Tokens for the tests of this directory."""

from tests.tried_tokens import control, plexi, use

__all__ = ["control", "plexi", "use"]
