"""Shards in this process, and what is decided when a scorer is lost, hung or slow."""
