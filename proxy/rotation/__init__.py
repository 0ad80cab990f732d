"""Rotations in the parent: when they begin, their steps and deadlines, their log and alarms."""
