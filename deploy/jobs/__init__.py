"""Ray jobs: runs and sweeps on a cluster that this program does not join."""
