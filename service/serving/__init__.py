"""A pool's service that many runs share, and its clients."""
