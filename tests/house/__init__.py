"""The house rules: what every file must keep to, held by tests."""
