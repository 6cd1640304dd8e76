"""The sources of bag tables: one file for each kind, with a row each in `kinds.OPENERS` and `source.SOURCES`."""
