"""Lightning modules, batches and checkpoints of a training.

optimizers: AdamW, Adafactor
bi_encoder_module: BiEncoderModule
bi_encoder_data: BiEncoderData
generator_module: QueryGeneratorModule
generator_data: GeneratorData
batches: BatchSettings
run: TrainingRun, training_trainer, checkpoint_to_resume, silence_libraries
checkpoints: CheckpointFolder, WholeCheckpoints
"""
