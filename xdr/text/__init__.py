"""The nouns of the field: records, languages, scripts."""
