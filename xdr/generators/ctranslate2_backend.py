"""Sampling texts with CTranslate2, the fast backend. A generator is converted once into a folder that carries its
fingerprint."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from xdr.encoders.texts import Texts
from xdr.errors import UserError
from xdr.generators.backends import Drawn
from xdr.generators.language_vocabulary import restricted, tokens_of, with_first_token
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import Sampling
from xdr.storage.files import creating_folder, read_json, write_json
from xdr.storage.fingerprint import Json, fingerprint

CONVERTED_FORMAT = 1
STREAMS = 2
"""Copies of a model that write side by side on a CPU, each on its share of the threads. Their number is part of what is drawn,
so it does not follow that of the cores."""
TEXTS_AT_ONCE = 20
"""In a stream on a CPU. CTranslate2 keeps a prompt's keys and values for each of its texts, and of more texts they leave the
cache: batches of 195 were three times slower."""


def convert(model: Any, source_names: Sequence[str], target_names: Sequence[str], start: str, folder: Path, kind: str) -> None:
    """Writes the model in CTranslate2's format.

    CTranslate2's own command reads `tie_word_embeddings`, which transformers 5 sets on every mT5, and then divides the logits
    by the square root of the dimension: greedy texts stay, sampling comes out flat. Only a model that really is tied is scaled
    here."""
    from ctranslate2.converters import Converter
    from ctranslate2.converters.transformers import T5Loader

    class InMemory(Converter):  # type: ignore[misc]  # CTranslate2 has no types
        def _load(self) -> Any:
            said = model.config.tie_word_embeddings
            model.config.tie_word_embeddings = said and model.config.model_type == "t5"
            try:
                spec = T5Loader().get_model_spec(model)
            finally:
                model.config.tie_word_embeddings = said
            spec.register_source_vocabulary(list(source_names))
            spec.register_target_vocabulary(list(target_names))
            end = source_names[model.config.eos_token_id]
            spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = start, end, source_names[2]
            spec.config.decoder_start_token = start
            return spec

    InMemory().convert(str(folder), quantization=None if kind == "float32" else kind, force=True)


class CTranslate2Backend:
    """On demand converts the generator, for `vocabulary=language` once for each language, into a folder of `conversions`."""

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
            raise UserError("backend=ctranslate2 needs its package: pip install 'xdr[fastgen]'") from error
        self._library = ctranslate2
        self._generator, self._tokenizer, self._sampling = generator, tokenizer, sampling
        self._compute_type, self._conversions, self._fingerprint = compute_type, conversions, generator_fingerprint
        self._device = {"device": device, "device_index": device_index}
        self._on_cpu = device == "cpu"
        self._seed = 0
        self._translators: dict[str, list[Any]] = {}
        self._names = _token_names(tokenizer.huggingface, generator.model.config.vocab_size)

    def begin(self, seed: int) -> None:
        """CTranslate2 seeds a translator's threads when they first draw, and never again: so they start anew."""
        self._seed = seed
        self._translators.clear()

    def encode(self, sources: Texts) -> list[list[str]]:
        """CTranslate2 encodes within `decode`, each prompt once a call."""
        parts = torch.split(sources.ids_T, sources.lengths_B.tolist())
        return [[self._names[piece] for piece in part.tolist()] for part in parts]

    @property
    def one_language(self) -> bool:
        return self._sampling.vocabulary == "language"

    def decode(self, encoded: list[list[str]], rows: Tensor, languages: Sequence[str], number: int) -> list[list[Drawn]]:
        first_B = self._tokenizer.first_tokens(languages)
        prefix = None if first_B is None else [[self._names[piece]] for piece in first_B.tolist()]
        prompts = [encoded[row] for row in rows.tolist()]
        streams = self.streams(languages[0])
        results: list[Any] = [None] * len(prompts)

        def write(stream: int) -> None:
            own = range(stream, len(prompts), len(streams))
            written = streams[stream].translate_batch(
                [prompts[place] for place in own],
                target_prefix=[prefix[place] for place in own] if prefix is not None else None,
                max_batch_size=max(1, TEXTS_AT_ONCE // number) if self._on_cpu else 0,
                beam_size=1,
                num_hypotheses=number,
                sampling_topk=self._sampling.top_k,
                sampling_topp=self._sampling.top_p,
                sampling_temperature=self._sampling.temperature,
                max_decoding_length=self._sampling.output_length + (prefix is not None),
                suppress_sequences=self._unwritten(set(languages)),
                return_end_token=True,
                disable_unk=False,
            )
            results[stream :: len(streams)] = written

        with ThreadPoolExecutor(len(streams)) as pool:
            list(pool.map(write, range(len(streams))))
        return [[self._drawn(pieces, 0 if prefix is None else 1) for pieces in result.hypotheses] for result in results]

    def _unwritten(self, languages: set[str]) -> list[list[str]] | None:
        if not self.one_language:
            return None
        (language,) = languages
        return [[self._names[piece]] for piece in self._pieces(language)[1]] or None

    def streams(self, language: str) -> list[Any]:
        """Of the model that writes in this language."""
        key = language if self.one_language else "full"
        if key not in self._translators:
            folder = self._converted(language, key)
            if self._tokenizer.task.language_at == "prompt":
                self._translators.clear()  # languages come one after the other, each with a model of its own
            number = STREAMS if self._on_cpu else 1
            self._translators[key] = [self._stream(folder, stream, number) for stream in range(number)]
        return self._translators[key]

    def _stream(self, folder: Path, stream: int, number: int) -> Any:
        """Its first draw, of nothing, is what gives it its seed."""
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

    def _pieces(self, language: str) -> tuple[Tensor, list[int]]:
        allowed = tokens_of(self._tokenizer.huggingface, language, latin=self._sampling.latin)
        return with_first_token(allowed, self._tokenizer.first_tokens([language]))

    def _drawn(self, names: list[str], prefix: int) -> Drawn:
        end = self._tokenizer.huggingface.eos_token
        ids = [self._number(name) for name in names[prefix:] if name != end]
        return Drawn(ids, end in names)

    def _number(self, name: str) -> int:
        number: int = self._tokenizer.huggingface.convert_tokens_to_ids(name)
        return number

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
        with FileLock(self._conversions / f".{folder.name}.lock"):
            if not folder.exists():
                with creating_folder(folder) as partial:
                    self._convert(language, key, partial)
                    write_json(partial / "made_by.json", made_by)
        assert read_json(folder / "made_by.json") == made_by
        return folder

    def _convert(self, language: str, key: str, folder: Path) -> None:
        model, names = self._generator.model, self._names
        start = names[model.config.decoder_start_token_id]
        if key != "full":
            tokens_K, _ = self._pieces(language)
            model, names = restricted(model, tokens_K), [names[piece] for piece in tokens_K.tolist()]
        convert(model, self._names, names, start, folder, self._compute_type)


def _token_names(tokenizer: Any, size: int) -> list[str]:
    """mT5's matrices have a few rows more than the tokenizer has pieces."""
    names: list[str] = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), size))))
    return [*names, *(f"<unused_{number}>" for number in range(len(names), size))]
