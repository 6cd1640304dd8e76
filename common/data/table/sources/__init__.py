"""The sources of bag tables: one file for each kind, with one row each in `build.SOURCES`."""
