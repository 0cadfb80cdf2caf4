"""Reading files into records.

Import from here:

benchmark: Benchmark, SPLITS, distinct_positives, Holdout, released_split, is_in_split, checked_splits
collection: open_collection
passage_store: PassageStore, convert_passages
training_set: TrainingSet, training_set, choose_passages, choose_positive, choose_negatives, choose_twins, texts_by_language
qrels: read_qrels
generated_queries: read_generated_queries
rows: Row, read_rows, json_rows (to write a benchmark)
problems: Problems
tables: read_table
judged: judged_examples
beir_folder, collection_folder, mixture, tevatron: formats of any benchmark's files, and several benchmarks as one
"""
