"""The pool as shards see it: bags in whole blocks, and a table's versions."""
