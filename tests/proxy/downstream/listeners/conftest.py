"""Fixtures of several test files of this directory."""

from tests.proxy.downstream.listeners.listener_world import credential, world

__all__ = ["credential", "world"]
