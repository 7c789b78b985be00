"""Indexes of vectors that are kept elsewhere: one file a kind, all under the contract of `VectorIndex`.

What is in them can be made again from the shelf at any time. A passage's metadata is in all of them as labels.
"""
