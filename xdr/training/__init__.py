"""Lightning modules, batches, objectives and checkpoints of a training.

objectives: contrastive, multi_positive, distillation, margin_mse, Combined, token_likelihood, info_nce
twin_objectives: consistency, passage_consistency, twin_contrastive
distributions: divergence, multi_positive_nce, mean_of_present
batch_labels: BatchLabels, Twins, language_key
scoring: score_batch
optimizers: AdamW, Adafactor
bi_encoder_module: BiEncoderModule
bi_encoder_data: BiEncoderData
generator_module: QueryGeneratorModule
generator_data: GeneratorData
batches: BatchSettings
run: TrainingRun, training_trainer, checkpoint_to_resume, silence_libraries
checkpoints: CheckpointFolder, WholeCheckpoints
"""
