"""What a training minimizes: the batch, its scores and the losses.

losses: contrastive, multi_positive, distillation, margin_mse, Combined, token_likelihood, info_nce
twin_losses: consistency, passage_consistency, twin_contrastive
token_alignment: TokenAlignment
distributions: divergence, multi_positive_nce, mean_of_present
train_batch: TrainBatch
batch_labels: BatchLabels, Twins, language_key
scoring: score_batch
hardest_versions: version_losses, with_hardest
processes: rank, world_size
"""
