"""The records that flow through xdr, with what is known of their languages.

records: Passage, Query, TrainingExample, Judgement, GeneratedTexts, content_id
languages: find_language, language_codes, NAMES
scripts: count_scripts, script_of
prompts: PromptTemplate, published_prompt, passage_text, require_fields, fill
sentences: split_sentences, sentence_breaks
identification: LanguageCheck, Identifier, LanguageIdentifier, train_identifier
"""
