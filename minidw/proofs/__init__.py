"""Proving and explaining what the tables hold; nothing is changed."""
