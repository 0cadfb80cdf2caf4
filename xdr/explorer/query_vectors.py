"""Vectors of questions. The encoder loads in the background.

Evaluations do not store these vectors, so all their questions are encoded again, as the evaluation encoded them.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xdr.encoders.encoder import Encoder
from xdr.errors import UserError, first_line

_KEPT = 1024
"""Vectors of texts that are not questions of the evaluation."""
_WARM_UP = (1, 2, 9, 20)
"""Numbers of texts. The first batch of a size takes many times as long as the next, and nobody waits for it here."""


class NotReady(Exception):  # noqa: N818  not an error
    """The encoder is still loading."""


class QueryVectors:
    """`load` returns the encoder. If it fails, every request for a vector raises a `UserError` with the reason."""

    def __init__(self, load: Callable[[], Encoder], stored: Sequence[str]) -> None:
        self._load, self._texts = load, stored
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._encoder: Encoder | None = None
        self._stored: dict[str, NDArray[np.float32]] = {}
        self._others: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self.problem = ""
        """Why there are no vectors."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="encoder", daemon=True).start()

    @property
    def is_ready(self) -> bool:
        return self._encoder is not None

    def wait(self, seconds: float) -> bool:
        """Until the encoder is loaded, or cannot be loaded. Returns whether it is."""
        self._finished.wait(seconds)
        return self.is_ready

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector a text, in their order. Texts that were asked for before are not encoded again."""
        if self.problem:
            raise UserError(self.problem)
        if self._encoder is None:
            raise NotReady
        with self._lock:  # tokenizers keep settings between calls
            known = {text: vector for text in texts if (vector := self._known(text)) is not None}
            new = [text for text in dict.fromkeys(texts) if text not in known]
            if new:
                known |= zip(new, self._encoder.encode_queries(new), strict=True)
            for text in new:
                self._others[text] = known[text]
            while len(self._others) > _KEPT:
                self._others.popitem(last=False)
            return np.stack([known[text] for text in texts])

    def _known(self, text: str) -> NDArray[np.float32] | None:
        return self._stored.get(text, self._others.get(text))

    def _run(self) -> None:
        try:
            encoder = self._load()
            self._stored = dict(zip(self._texts, encoder.encode_queries(self._texts), strict=True))
            for number in _WARM_UP:
                encoder.encode_queries(self._texts[:number])
            self._encoder = encoder
        except UserError as error:
            self.problem = str(error)
        except Exception as error:  # it would end in the thread, and the page would wait for ever
            self.problem = f"the encoder cannot be used: {type(error).__name__}: {first_line(error)}"
        if self.problem:
            print(f"error: {self.problem}", file=sys.stderr)
        self._finished.set()
