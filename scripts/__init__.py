"""What developers run: checks, docs, and `make run`."""
