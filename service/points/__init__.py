"""The pool's bags as points for k-means++: on their shards, and gathered."""
