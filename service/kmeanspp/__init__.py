"""k-means++ seeding at scale: exact D² sampling over points that shards hold."""
