"""Answers from documents: ingest, search, ask."""
