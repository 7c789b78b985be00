"""Stub."""
class Prices:
    """Stub."""
    @classmethod
    def load(cls, o): return cls()
    def find(self, p, m): return None
