"""When, not how: each callback calls xdr and logs."""
