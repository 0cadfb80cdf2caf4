"""The vectors of a collection: stored, fused, corrected.

embeddings: EmbeddingStore, Embeddings           vectors on disk, and what a search reads
embedding_writer: create_embeddings, writing_shard
layout: Layout, Selection                        which sums of generated texts' vectors are kept, and which are read
generated_sums: sum_generated_queries, sum_generated_passages
fusion: Fusion, FUSIONS, fusion_named            fusion formulas; to add one, append it to FUSIONS
fusing: Fusing                                   a formula, and the generated texts that are fused
families: baseline_family, fused_family          systems to search: the passages alone, or fused with a formula
          Family, Offset                         a system can have an offset by row, which is added to its scores
controls: mean_texts, OtherPassages, SentenceSums    what is fused in the place of generated texts, for comparison
corrections: Correction, Csls, QueryBankNormalization  corrections of hubs
query_bank: QueryBank, OpenedBank                texts that stand for the queries of users
"""
