"""The results of many runs: their groups, statistics, costs and claims, as values and as files."""
