"""Queries as people mistype them, in many writing systems.

query_noise: QueryNoise, NoisyText
noisy_queries: NoisyQueries
words: Words
edits: edit_word, LETTER_OPERATORS
word_operators: WORD_OPERATORS
letters: units_of, joined, is_sound, num_broken
keyboards: keyboard_for, keyboard
hangul: keystrokes, composed
sounds: kana_neighbours, same_reading, homophones
diacritics: without_diacritics
question_words: question_words
read_layouts, examples: what writes the layouts, and the examples of docs/noise.md
"""
