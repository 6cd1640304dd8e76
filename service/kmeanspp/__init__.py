"""k-means++ seeding at scale: exact D² sampling over points on shards. `d2_sampling` explains how."""
