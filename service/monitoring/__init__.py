"""What a service reports to those who watch it."""
