"""Settings and the command line of train.py and evaluate.py."""
