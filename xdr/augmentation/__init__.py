"""Generated queries: whether they are any good, and what they do to a passage's vector."""
