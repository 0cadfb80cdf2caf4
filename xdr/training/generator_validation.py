"""What the validation of a query generator looks at."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xdr.data.training_set import choose_positive
from xdr.encoders.encoder_folder import is_encoder_folder, load_encoder_folder
from xdr.errors import UserError
from xdr.generators.query_generator import GeneratorTokenizer
from xdr.generators.settings import Sampling, Task
from xdr.text.identification import LanguageCheck, LanguageIdentifier
from xdr.text.records import Passage, TrainingExample
from xdr.training.generated_samples import RoundTrip, SampleCheck, SampleRequest
from xdr.training.generator_data import Written, written


def written_languages(task: Task, examples: Iterable[TrainingExample]) -> Task:
    """With the languages that these examples teach to write in."""
    asks = task.direction == "query_from_passage"
    found = {e.query.language if asks else passage.language for e in examples for passage in e.positives}
    return replace(task, languages=tuple(sorted(found)))


def dev_texts(reader: GeneratorTokenizer, dev: Sequence[TrainingExample], largest: int) -> list[Written]:
    """One of each dev example, the first `largest`."""
    if largest and not dev:
        raise UserError(
            "there are no dev examples to validate on; set callbacks.validation.largest_dev=0 to train without validation"
        )
    return [written(reader, example, choose_positive(example, 0, 0)) for example in dev[:largest]]


def sample_check(
    reader: GeneratorTokenizer,
    dev: Sequence[Written],
    identifier: LanguageIdentifier,
    seed: int,
    num_sampled: int,
    round_trip: str | None,
    **sampling: Any,
) -> SampleCheck | None:
    """`num_sampled` of each language, the first that there are; the round trip is over the passages of all dev examples."""
    if not num_sampled:
        if round_trip:
            raise UserError("a round trip needs texts: set callbacks.validation.num_sampled above 0")
        return None
    taken: Counter[str] = Counter()
    asked: list[SampleRequest] = []
    for item in dev:
        if taken[item.group] < num_sampled:
            taken[item.group] += 1
            asked.append(SampleRequest(item.source, item.language, item.group, item.text))
    return SampleCheck(
        asked,
        reader,
        Sampling(output_length=reader.task.output_length, **sampling),
        LanguageCheck(identifier),
        seed,
        _round_trip(reader, round_trip, [item.source for item in dev]) if round_trip else None,
    )


def _round_trip(reader: GeneratorTokenizer, folder: str, sources: Sequence[Passage]) -> RoundTrip:
    if reader.task.direction != "query_from_passage":
        raise UserError("the round trip is that of questions; with direction=passage_from_query set validation.round_trip=null")
    if not is_encoder_folder(Path(folder)):
        raise UserError(f"callbacks.validation.round_trip={folder} is no encoder's folder; train.py leaves one as encoder/")
    encoder, text_reader = load_encoder_folder(Path(folder))
    distinct = {source.passage_id: source for source in sources}
    return RoundTrip(encoder.eval(), text_reader, list(distinct.values()))
