"""One round: which blocks are scored, how the shards' answers are merged, what is selected."""
