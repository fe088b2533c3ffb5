"""The database: connecting, what a transaction of ours depends on, its tables and their revisions."""
