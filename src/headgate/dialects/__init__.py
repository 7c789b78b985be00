"""Wire formats, pure: bytes to nouns and back, both directions."""
