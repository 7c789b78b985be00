"""Memories, one file each."""
