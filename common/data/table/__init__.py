"""Bag tables `bags/1`: Parquet files of bags under a manifest, on any file system that pyarrow supports."""
