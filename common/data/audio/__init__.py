"""Sound: decoding, log-mel features, and the cache of both."""
