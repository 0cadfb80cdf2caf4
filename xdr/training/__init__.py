"""Lightning modules, batches, objectives and checkpoints of a training.

objectives: contrastive, distillation, token_likelihood, info_nce, list_kl
batch_labels: BatchLabels, language_key
optimizers: AdamW, Adafactor
bi_encoder_module: BiEncoderModule
bi_encoder_data: BiEncoderData
generator_module: QueryGeneratorModule
generator_data: GeneratorData
batches: BatchSettings
run: TrainingRun, training_trainer, checkpoint_to_resume, silence_libraries
checkpoints: CheckpointFolder, WholeCheckpoints
"""
