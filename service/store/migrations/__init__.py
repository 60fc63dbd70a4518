"""The history of the tables, run by `service.store.schema`."""
