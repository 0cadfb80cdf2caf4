"""Models that write queries for passages or passages for queries.

settings:           Task, Sampling, GenerationSettings (needs no torch)
prompts:            Words, FewShot, SummarizeThenAsk: settings of prompts (needs no torch)
models:             SequenceToSequenceGenerator, CausalLanguageModel, SmallGenerator: a generator to train (needs no torch)
generator:          Generator, Request, Reply, Written, Metered: what all families do (needs no torch)
backends:           BackendSettings, Wanted, Loaded, HuggingFace, CTranslate2, OpenAI: settings of backends (needs no torch)
query_generator:    QueryGenerator, GeneratorTokenizer, token_losses, choose_language_tokens
sequence_to_sequence: SequenceToSequence, Sampler, Drawn: a T5 as a generator
causal_generator:   CausalGenerator, CausalTokenizer, require_packable
packed_texts:       PackedTexts, pack, attention_masks: several texts behind one prompt, to learn
causal_writer:      CausalWriter: a causal language model as a generator
openai_backend:     OpenAIGenerator: a server as a generator (needs no torch)
server:             Server: posts that are sent again where they fail
served_folder:      read_served_folder: what a served generator was trained with (needs no torch)
kept_answers:       KeptAnswers, answers_file: the replies of an unfinished shard
generator_folder:   open_generator, load_generator, save_generator, save_without_weights, fingerprint_generator
generation:         Generation: the texts of one shard
quality:            Gate, Reason, REASONS, QualityCounts, as_table
generated_store:    GeneratedStore, write_texts, write_counts
generated_source:   open_generated, import_generated, export_generated
people_questions:   write_questions
own_sentences:      OwnSentences
"""
