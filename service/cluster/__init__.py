"""Shards and the coordinator as Ray actors."""
