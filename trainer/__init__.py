"""Trains a bag classifier on all positives and the negatives chosen each epoch; writes and reports runs."""
