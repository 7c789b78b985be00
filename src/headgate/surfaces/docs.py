"""Stub."""


def install(app, *, public): ...
