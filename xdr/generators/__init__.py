"""Models that write queries for passages or passages for queries.

settings:           Task, Sampling, GenerationSettings (needs no torch)
prompts:            Words, FewShot, SummarizeThenAsk: settings of prompts (needs no torch)
models:             SequenceToSequenceGenerator, CausalLanguageModel, SmallGenerator: a generator to train (needs no torch)
generator:          Generator, Request, Reply, Written, Metered: what all families do (needs no torch)
query_generator:    QueryGenerator, GeneratorTokenizer, token_losses, choose_language_tokens
causal_generator:   CausalGenerator, CausalTokenizer, require_packable
packed_texts:       PackedTexts, pack, attention_masks: several texts behind one prompt, to learn
sliced_losses:      sliced_losses: losses over a large vocabulary
generator_folder:   open_generator, load_generator, save_generator, save_without_weights, fingerprint_generator
small:              build_small_mt5
language_vocabulary: tokens_of, restricted: the tokens that a language may contain
"""
