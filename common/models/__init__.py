"""Bag classifiers (an encoder of instances, a linear head, a pooling), and adapters for other torch modules."""
