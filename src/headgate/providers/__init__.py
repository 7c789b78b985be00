"""Somewhere to ask: one file an upstream, found by its name."""
