"""Computes metrics from rankings and qrels.

scoring: Qrels, qrels_of, usable, score_rankings         the metrics of all systems of an evaluation
metric_names: parse_metrics, require_headline, counts_ranks
ranking_metrics: RelevantRanks, relevant_ranks, recall, success, reciprocal_rank, ndcg, average_precision
answer_recall: answer_recall                             R@2kt and R@5kt
word_tokens: PassageTokens                               the tokens that R@kt counts
language_pools: PassageLanguages, pool_values            MAP-mono, MAP-cross, rank_spread, nDCG-judged
language_bias: parallel_ranks, rank_spread
per_query: PerQuery, means                               values of queries, and their means
coverage: Coverage, coverage_of                          how many passages have generated texts, relevant ones and others
"""
