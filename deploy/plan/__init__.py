"""What a run would take: memory, network and seconds, from a rate that is measured and from sizes that are known."""
