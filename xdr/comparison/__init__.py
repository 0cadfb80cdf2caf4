"""Compares systems: paired tests, intervals and controls over the values of queries.

runs: evaluate, compare, read_qrels                      runs and qrels in memory
significance: Testing, Comparison, compare_systems, corrected_together
paired_tests: t_test_p, effect_size, holm                tests in closed form
resampling: flipped_means, resampled_means, sign_flip_p  randomisation and bootstrap
clusters: clusters_of, resampled_by_cluster              queries that are resampled together
controls: best_control, compare_with_best_control
choosing: the systems whose settings were best on other queries
noisy: with_noise, over_versions, on_equal_noise         mean and worst of noisy versions
robustness: Robustness, robustness_of, drops_by_operator what systems lose on noisy queries, and win back
"""
