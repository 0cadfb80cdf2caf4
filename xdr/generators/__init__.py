"""Models that write queries for passages or passages for queries.

settings:           Task, Sampling, GenerationSettings (needs no torch)
prompts:            Words, FewShot, SummarizeThenAsk: settings of prompts (needs no torch)
models:             SequenceToSequenceGenerator, SmallGenerator: settings of a generator to train (needs no torch)
backends:           Backend, BackendSettings, Drawn, HuggingFace, CTranslate2: settings of a backend (needs no torch)
query_generator:    QueryGenerator, GeneratorTokenizer, token_losses, choose_language_tokens
generator_folder:   open_generator, load_generator, save_generator, save_without_weights, fingerprint_generator,
                    require_languages
generation:         Generation: the texts of one shard
quality:            Gate, Reason, REASONS, QualityCounts, as_table
generated_store:    GeneratedStore, write_texts, write_counts
generated_source:   open_generated, import_generated, export_generated
"""
