"""Reading files into records.

Import from here:

benchmark: Benchmark, SPLITS, distinct_positives
collection: open_collection
passage_store: PassageStore, convert_passages
training_set: TrainingSet, training_set, choose_passages, choose_positive, choose_negatives, choose_twins, texts_by_language
qrels: read_qrels
generated_queries: read_generated_queries
rows: Row, read_rows, json_rows (to write a benchmark)
problems: Problems
collection_folder, mixture, tevatron: formats and compositions of any benchmark's files
"""
