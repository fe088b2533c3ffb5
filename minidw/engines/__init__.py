"""The same selects on other engines: a dialect that only compiles, and each named construct in its words."""
