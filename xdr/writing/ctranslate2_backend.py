"""Sampling texts with CTranslate2. A generator is converted once, into a folder named by its fingerprint."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xdr.encoders.texts import Texts
from xdr.errors import UserError
from xdr.generators.language_vocabulary import restricted, tokens_of, with_first_token
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import Sampling
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.storage.locks import locked
from xdr.writing.sequence_to_sequence import Drawn

CONVERTED_FORMAT = 2
STREAMS = 2
"""Copies of a model that sample in parallel on a CPU, each with its share of the threads. The number is fixed, because the
texts depend on it."""
TEXTS_AT_ONCE = 20
"""The batch size of a stream on a CPU. CTranslate2 keeps a prompt's keys and values once for each text; those of larger batches
do not fit the processor's cache, and batches of 195 were three times slower."""


def convert(model: Any, source_names: Sequence[str], target_names: Sequence[str], start: str, folder: Path, kind: str) -> None:
    """Writes the model in CTranslate2's format.

    CTranslate2's own converter divides the logits by the square root of the dimension if `tie_word_embeddings` is set, which
    transformers 5 does for every mT5. Greedy texts stay the same, but sampling becomes almost uniform. Here only a tied T5 is
    scaled."""
    from ctranslate2.converters import Converter
    from ctranslate2.converters.transformers import T5Loader

    class InMemory(Converter):  # type: ignore[misc]  # CTranslate2 has no types
        def _load(self) -> Any:
            tied = model.config.tie_word_embeddings
            model.config.tie_word_embeddings = tied and model.config.model_type == "t5"
            try:
                spec = T5Loader().get_model_spec(model)
            finally:
                model.config.tie_word_embeddings = tied
            spec.register_source_vocabulary(list(source_names))
            spec.register_target_vocabulary(list(target_names))
            end = source_names[model.config.eos_token_id]
            spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = start, end, source_names[2]
            spec.config.decoder_start_token = start
            return spec

    InMemory().convert(str(folder), quantization=None if kind == "float32" else kind, force=True)


class CTranslate2Backend:
    """Converts the generator on first use, into a folder of `conversions`; with `vocabulary="language"` once a language."""

    def __init__(
        self,
        generator: QueryGenerator,
        tokenizer: GeneratorTokenizer,
        sampling: Sampling,
        compute_type: str,
        conversions: Path,
        generator_fingerprint: str,
        device: str = "cpu",
        device_index: int = 0,
    ) -> None:
        try:
            import ctranslate2
        except ImportError as error:
            raise UserError("the CTranslate2 backend needs the package ctranslate2. Run pip install 'xdr[fastgen]'") from error
        self._library = ctranslate2
        self._generator, self._tokenizer, self._sampling = generator, tokenizer, sampling
        self._compute_type, self._conversions, self._fingerprint = compute_type, conversions, generator_fingerprint
        self._device = {"device": device, "device_index": device_index}
        self._on_cpu = device == "cpu"
        self._seed = 0
        self._translators: dict[str, list[Any]] = {}
        self._names = _token_names(tokenizer.huggingface, generator.model.config.vocab_size)

    def begin(self, seed: int) -> None:
        """Drops the translators, because CTranslate2 seeds their threads only once, when they first draw."""
        self._seed = seed
        self._translators.clear()

    def encode(self, sources: Texts) -> list[list[str]]:
        """Returns token names. CTranslate2 encodes the prompts within `decode`."""
        parts = torch.split(sources.ids_T, sources.lengths_B.tolist())
        return [[self._names[token] for token in part.tolist()] for part in parts]

    @property
    def one_language(self) -> bool:
        return self._sampling.vocabulary == "language"

    def decode(
        self, encoded: list[list[str]], rows: Tensor, languages: Sequence[str], number: int, output_length: int | None = None
    ) -> list[list[Drawn]]:
        first_B = self._tokenizer.first_tokens(languages)
        prefix = None if first_B is None else [[self._names[token]] for token in first_B.tolist()]
        prompts = [encoded[row] for row in rows.tolist()]
        streams = self.streams(languages[0])
        results: list[Any] = [None] * len(prompts)

        def sample(stream: int) -> None:
            share = range(stream, len(prompts), len(streams))
            results[stream :: len(streams)] = streams[stream].translate_batch(
                [prompts[place] for place in share],
                target_prefix=[prefix[place] for place in share] if prefix is not None else None,
                max_batch_size=max(1, TEXTS_AT_ONCE // number) if self._on_cpu else 0,
                beam_size=1,
                num_hypotheses=number,
                sampling_topk=self._sampling.top_k,
                sampling_topp=self._sampling.top_p,
                sampling_temperature=self._sampling.temperature,
                max_decoding_length=(output_length or self._sampling.output_length) + (prefix is not None),
                suppress_sequences=self._forbidden(set(languages)),
                return_end_token=True,
                disable_unk=False,
            )

        with ThreadPoolExecutor(len(streams)) as pool:
            list(pool.map(sample, range(len(streams))))
        return [[self._drawn(names, 0 if prefix is None else 1) for names in result.hypotheses] for result in results]

    def _forbidden(self, languages: set[str]) -> list[list[str]] | None:
        if not self.one_language:
            return None
        (language,) = languages
        return [[self._names[token]] for token in self._tokens(language)[1]] or None

    def streams(self, language: str) -> list[Any]:
        """The translators of the model that writes in this language."""
        key = language if self.one_language else "full"
        if key not in self._translators:
            folder = self._converted(language, key)
            if self._tokenizer.task.language_at == "prompt":
                self._translators.clear()  # each language has its own model, and comes once
            number = STREAMS if self._on_cpu else 1
            self._translators[key] = [self._stream(folder, stream, number) for stream in range(number)]
        return self._translators[key]

    def _stream(self, folder: Path, stream: int, number: int) -> Any:
        """A translator that has sampled once, which is when it takes its seed."""
        self._library.set_random_seed((self._seed + stream) % 2**32)
        translator = self._library.Translator(
            str(folder),
            compute_type=self._compute_type,
            inter_threads=1,
            intra_threads=max(1, torch.get_num_threads() // number),
            **self._device,
        )
        translator.translate_batch(
            [[self._tokenizer.huggingface.eos_token]], beam_size=1, sampling_topk=2, max_decoding_length=1
        )
        return translator

    def _tokens(self, language: str) -> tuple[Tensor, list[int]]:
        allowed = tokens_of(self._tokenizer.huggingface, language, latin=self._sampling.latin)
        return with_first_token(allowed, self._tokenizer.first_tokens([language]))

    def _drawn(self, names: list[str], prefix: int) -> Drawn:
        end = self._tokenizer.huggingface.eos_token
        ids: list[int] = self._tokenizer.huggingface.convert_tokens_to_ids([name for name in names[prefix:] if name != end])
        return Drawn(ids, end in names)

    def _converted(self, language: str, key: str) -> Path:
        made_by: dict[str, Json] = {
            "generator": self._fingerprint,
            "compute_type": self._compute_type,
            "vocabulary": key,
            "latin": self._sampling.latin if key != "full" else True,
            "ctranslate2": self._library.__version__,
            "format": CONVERTED_FORMAT,
        }
        folder = self._conversions / fingerprint(made_by)
        self._conversions.mkdir(parents=True, exist_ok=True)
        with locked(self._conversions / f".{folder.name}.lock"):
            ledger = ShardLedger.create(folder, "a converted generator", 1, made_by)
            if ledger.missing():
                with ledger.writing(0) as partial:
                    self._convert(language, key, partial)
        return ledger.whole(0)

    def _convert(self, language: str, key: str, folder: Path) -> None:
        model, names = self._generator.model, self._names
        start = names[model.config.decoder_start_token_id]
        if key != "full":
            tokens_K, _ = self._tokens(language)
            model, names = restricted(model, tokens_K), [names[token] for token in tokens_K.tolist()]
        convert(model, self._names, names, start, folder, self._compute_type)


def _token_names(tokenizer: Any, size: int) -> list[str]:
    """mT5's matrices have a few more rows than its tokenizer has tokens; these get made-up names."""
    names: list[str] = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), size))))
    return [*names, *(f"<unused_{number}>" for number in range(len(names), size))]
