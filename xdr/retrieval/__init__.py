"""Ranks the passages of a collection for queries, by the inner product of vectors.

in_memory: fuse, search                          arrays in, a run out
fusion: Fusion, FUSIONS, fusion_named            fusion formulas; to add one, append it to FUSIONS
families: baseline_family, fused_family          systems to search: the passages alone, or fused with a formula
          Family, Offset                         a system can have an offset by row, which is added to its scores
controls: mean_texts, OtherPassages, SentenceSums    what is fused in the place of generated texts, for comparison
search: search                                   the exact search
indexes: Index, Flat, Ivf, Hnsw                  indexes to search with instead
index_search: index_search                       the search with an index
rankings: Rankings, merge_rankings, write_run    results of both
embeddings: EmbeddingStore, Embeddings           vectors on disk, and what a search reads
embedding_writer: create_embeddings, writing_shard
layout: Layout, Selection                        which sums of generated texts' vectors are kept, and which are read
query_bank: QueryBank, OpenedBank                texts that stand for the queries of users
corrections: Correction, Csls, QueryBankNormalization  corrections of hubs
hubness: hubness_ledger, measure_shards, measure how near passages are to a bank, measured once and kept
generated_sums: sum_generated_queries, sum_generated_passages
faiss_import: load_faiss
"""
