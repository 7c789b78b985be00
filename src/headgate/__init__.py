"""Headgate: the LLM backend that every product otherwise writes again."""

__version__ = "0.1.0"
