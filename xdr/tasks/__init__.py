"""What the stages of evaluate.py work on: their settings, the systems of an evaluation, and the task that scores them.

settings: StageInputs, and the classes of evaluate.py's settings
systems: what each system is, and its name
correcting: the correction of hubs of an evaluation
retrieval_setup: the parts of an evaluation from its settings
retrieval_task: RetrievalTask (search, score and test, step by step)
"""
