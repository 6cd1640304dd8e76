"""The sources of bag tables: one file for each kind, with a row each in `build.OPENERS` and `source.SOURCES`."""
