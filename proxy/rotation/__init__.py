"""Rotations in the parent: when they begin, their steps with a deadline each, what is told about
them.
"""
