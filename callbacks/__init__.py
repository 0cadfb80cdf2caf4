"""When, not how: each callback calls xdr and logs. None is needed yet."""
