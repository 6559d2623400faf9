"""The database's schema, step by step. Each file is one revision, named by its number; see `store.migrating`."""
