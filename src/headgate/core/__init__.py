"""The nouns: no I/O, no framework, no vendor."""
