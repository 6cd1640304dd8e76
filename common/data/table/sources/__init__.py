"""What bag tables are made from: one file a kind, one row each in `build.OPENERS` and `source.SOURCES`."""
