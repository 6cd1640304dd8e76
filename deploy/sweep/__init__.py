"""Sweeps: many runs of one recipe, side by side on Ray Tune, each in a folder of its own."""
