"""Cross-lingual dense retrieval: questions in many languages, passages in one."""

__version__ = "0.1.0"
