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
afriqa, collection_folder, dpr_nq, mixture, sample, swim_ir, tevatron, xor_tydi, xquad_r: one benchmark or format each
"""
