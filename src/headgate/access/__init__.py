"""Who calls: API keys and tokens become a Principal."""
