"""xdr's encoders and rankings in other projects' tools.

mteb_model    an encoder, with or without generated queries, as a model of MTEB
"""
