"""What train.py and each stage of evaluate.py do, from settings to results.

settings: StageInputs, and the classes of evaluate.py's settings
train: train_retriever, train_generator
prepare, write_generated, teach, evaluate, sweep: the stages of evaluate.py
retrieval_task: RetrievalTask (search, score and test, step by step)
plan_training, plan_evaluation: what `plan=true` estimates
"""
