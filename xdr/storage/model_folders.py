"""Names of the folders that a training run writes into its output folder."""

ENCODER = "encoder"
PASSAGE_ENCODER = "passage_encoder"
GENERATOR = "generator"
MODEL = "model"
"""Beside the checkpoints: the configuration, tokenizer and initial weights that belong to a checkpoint's weights."""
