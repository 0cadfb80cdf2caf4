"""xdr-explore: a finished evaluation as a page on this machine, question by question."""
