"""Ranks the passages of a collection for queries, by the inner product of vectors.

in_memory: fuse, search                          arrays in, a run out
search: search                                   the exact search
indexes: Index, Flat, Ivf, Hnsw                  indexes to search with instead
index_search: index_search                       the search with an index
rankings: Rankings, merge_rankings, write_run    results of both
gathering: gather_rankings, merge_systems         rankings of several processes, or of several lists of queries
hubness: hubness_ledger, measure_shards          how near passages are to a bank, measured once and kept
faiss_import: load_faiss
"""
