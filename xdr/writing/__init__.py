"""Writes texts for the passages of a collection with a generator of any family.

backends:           BackendSettings, Wanted, Loaded, HuggingFace, CTranslate2, OpenAI: settings of backends (needs no torch)
sequence_to_sequence: SequenceToSequence, Sampler, Drawn: a T5 as a generator
causal_writer:      CausalWriter: a causal language model as a generator
openai_backend:     OpenAIGenerator: a server as a generator (needs no torch)
server:             Server: posts that are sent again where they fail
served_folder:      read_served_folder: what a served generator was trained with (needs no torch)
kept_answers:       KeptAnswers, answers_file: the replies of an unfinished shard
generation:         Generation: the texts of one shard
quality:            Gate, Reason, REASONS, QualityCounts, as_table
generated_store:    GeneratedStore, write_texts, write_counts
generated_source:   open_texts, open_generated, import_generated, export_generated
people_questions:   write_questions
own_sentences:      OwnSentences
"""
