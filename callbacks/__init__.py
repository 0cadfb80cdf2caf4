"""Callbacks and loggers that conf/ names: they decide when xdr is called and what is logged.

checkpoints: Checkpoints
retriever_validation: RetrieverValidation
generator_validation: GeneratorValidation
exact_resumption: ReseedEachStep
same_wandb_run: SameWandbRun
training_progress: TrainingProgress
retrieval_evaluation: RetrievalEvaluation
loggers: tensorboard, wandb, ending
"""
