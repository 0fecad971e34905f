"""Measurements, each held against its own limit in the same run: absolute figures say little on a shared machine."""
