"""Trains a bag classifier on all positives and the negatives chosen for each epoch; records and reports runs."""
