"""What a shard does: embed whole blocks with the weights of the call, and score them."""
