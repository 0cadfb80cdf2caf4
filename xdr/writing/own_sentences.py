"""The sentences of each passage, in the place of texts that were generated for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from xdr.data.passage_store import PassageStore
from xdr.storage.fingerprint import fingerprint
from xdr.text.records import GeneratedTexts
from xdr.text.sentences import split_sentences

_FORMAT = 1
SENTENCES = "sentences"
"""Stands for a language."""


@dataclass(frozen=True)
class OwnSentences:
    """Nothing is stored: splitting is quick."""

    store: PassageStore

    @property
    def languages(self) -> tuple[str, ...]:
        return (SENTENCES,)

    @property
    def fingerprint(self) -> str:
        return fingerprint({"sentences of": self.store.fingerprint, "format": _FORMAT})

    def slice(self, start: int, stop: int) -> Iterator[GeneratedTexts]:
        for passage in self.store.slice(start, stop):
            yield GeneratedTexts(passage.passage_id, {SENTENCES: tuple(split_sentences(passage.text))})
