"""Bag tables `bags/1`: many bags as Parquet files under a manifest, on any file system pyarrow knows."""
