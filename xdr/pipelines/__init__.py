"""What train.py and each stage of evaluate.py do, from settings to results.

train: train_retriever, train_generator
prepare, write_generated, teach, evaluate, sweep, publish, verify: the stages of evaluate.py
plan_training, plan_evaluation: what `plan=true` estimates
"""
