"""Computes metrics and significance tests from rankings and qrels.

runs: evaluate, compare, read_qrels                      runs and qrels in memory
scoring: Qrels, qrels_of, usable, score_rankings         the metrics of all systems of an evaluation
metric_names: parse_metrics, require_headline, counts_ranks
ranking_metrics: RelevantRanks, relevant_ranks, recall, success, reciprocal_rank, ndcg, average_precision
answer_recall: answer_recall                             R@2kt and R@5kt
word_tokens: PassageTokens                               the tokens that R@kt counts
language_pools: PassageLanguages, pool_values            MAP-mono, MAP-cross, rank_spread, nDCG-judged
language_bias: parallel_ranks, rank_spread
per_query: PerQuery, means                               values of queries, and their means
significance: Testing, Comparison, compare_systems, corrected_together
paired_tests: t_test_p, effect_size, holm                tests in closed form
clusters: clusters_of, resampled_by_cluster              queries that are resampled together
noisy: with_noise, over_versions, on_equal_noise         mean and worst of noisy versions
robustness: Robustness, robustness_of, drops_by_operator what systems lose on noisy queries, and win back
controls: best_control, compare_with_best_control
coverage: Coverage, coverage_of                            how many passages have generated texts, relevant ones and others
resampling: flipped_means, resampled_means, sign_flip_p  randomisation and bootstrap
"""
