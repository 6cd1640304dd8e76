"""Bag classifiers: an encoder for instances, a linear head, a pooling; and any torch module, adapted."""
