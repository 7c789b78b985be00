"""The journey of a call: admission, cache, routing, ledger."""
