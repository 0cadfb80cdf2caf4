"""The records that flow through xdr, with what is known of their languages.

records: Passage, Query, TrainingExample, Judgement, GeneratedTexts, content_id
languages: find_language, language_codes, NAMES
scripts: count_scripts, script_of
prompts: query_prompt, passage_prompt, passage_text
identification: LanguageCheck, Identifier, LanguageIdentifier, train_identifier
"""
