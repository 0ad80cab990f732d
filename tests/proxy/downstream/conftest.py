"""Fixtures of several test files of this directory."""

from tests.proxy.downstream.listener_world import credential, world

__all__ = ["credential", "world"]
