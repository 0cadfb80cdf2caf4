"""Rankings -> figures."""
