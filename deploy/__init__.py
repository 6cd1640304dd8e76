"""Wires the rooms together and launches runs."""
