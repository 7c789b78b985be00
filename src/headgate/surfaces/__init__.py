"""HTTP: the only room that knows it."""
