"""`hydra/launcher=subprocess`: each job of a sweep in a fresh process, as if it had been started by hand."""
