"""stage=generate and stage=export: texts for a whole collection, and their file in the format of the published xQG data."""

from pathlib import Path

from xdr.data.beir_folder import write_beir_folder
from xdr.data.benchmark import Split
from xdr.data.collection_summary import check_judgements
from xdr.data.passage_store import PassageStore
from xdr.errors import UserError
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.pipelines.prepare import collection_of
from xdr.sharding.generate import GenerationJob, Request, generate_collection, plan_generation
from xdr.sharding.progress import counting
from xdr.sharding.shards import Sources, queries_as_sources
from xdr.storage.files import write_json
from xdr.storage.remote import address_of
from xdr.tasks.settings import GenerationOptions, StageInputs
from xdr.text.languages import language_codes
from xdr.training.run import silence_libraries
from xdr.writing.backends import Wanted
from xdr.writing.generated_source import export_generated, open_generated
from xdr.writing.generated_store import GeneratedStore
from xdr.writing.quality import as_table


def generate(inputs: StageInputs) -> None:
    """Questions about every passage of the collection, or passages for every question of a split, in shards."""
    settings = inputs.require_augmentation("generate").generation
    needed = settings.backend.needs_checkpoint
    checkpoint = inputs.require_checkpoint("generate", "a generator") if needed else inputs.checkpoint
    silence_libraries()
    languages = language_codes(settings.languages)
    task = Task(
        settings.direction,
        settings.language_at,
        settings.input_length,
        settings.output_length,
        prompt=settings.prompt.template(languages),
    )
    request, precision = _request(settings), str(inputs.trainer["precision"])
    wanted = Wanted(checkpoint, task, request.sampling, request.generation, precision, inputs.artifacts_dir)
    loaded = settings.backend.load(wanted)
    sources, fingerprint = _sources(inputs, settings, loaded.task)
    job = GenerationJob(loaded, sources, fingerprint, request, inputs.artifacts_dir)
    trainer = dict(inputs.trainer) if loaded.models is not None else {**inputs.trainer, "accelerator": "cpu"}
    if inputs.plan:
        plan_generation(job, trainer, inputs.console)
        return
    with inputs.logging("generate") as logger:
        generated = generate_collection(job, trainer, inputs.console, inputs.engine)
        counts = generated.counts()
        logger.log_metrics(
            {f"{reason}/{code}": number for code, count in counts.items() for reason, number in count.to_json().items()}
        )
        logger.save()
    inputs.console.print(as_table(counts, "Generated texts"))
    _report(generated, inputs)


def _sources(inputs: StageInputs, settings: GenerationOptions, task: Task) -> tuple[Sources, str]:
    """What texts are generated for, and its fingerprint."""
    if task.direction == "query_from_passage":
        store = collection_of(inputs)
        return store, store.fingerprint
    queries = queries_as_sources(inputs.benchmark.queries(settings.split, inputs.problems()))
    return queries, queries.fingerprint


def _request(settings: GenerationOptions) -> Request:
    generation = GenerationSettings(
        language_codes(settings.languages),
        settings.number,
        settings.input_length,
        settings.regenerate,
        settings.tokens_per_batch,
        settings.seed,
    )
    sampling = Sampling(
        top_k=settings.top_k,
        top_p=settings.top_p,
        temperature=settings.temperature,
        output_length=settings.output_length,
        vocabulary=settings.vocabulary,
        latin=settings.latin,
    )
    return Request(generation, sampling, settings.refuse, settings.backend, settings.shard_size, settings.probe)


def _report(generated: GeneratedStore, inputs: StageInputs) -> None:
    report = inputs.output_dir / "generated.json"
    write_json(
        report,
        {
            "generated": address_of(generated.folder),
            "fingerprint": generated.fingerprint,
            "bytes": generated.num_bytes(),
            "made_by": generated.made_by,
            "counts": {language: count.to_json() for language, count in generated.counts().items()},
        },
    )
    inputs.console.print(f"Generated texts: {generated.folder}\nCounts: {report}", markup=False, soft_wrap=True)


def export(inputs: StageInputs) -> None:
    """The generated texts; or, without augmentation, the benchmark itself."""
    augmentation = inputs.augmentation
    if augmentation is None:
        folder = inputs.output_dir / "beir"
        with counting("passages", inputs.console) as progress:
            write_beir_folder(inputs.benchmark, folder, inputs.problems(), progress)
        inputs.console.print(f"BEIR folder: {folder}", markup=False, soft_wrap=True)
        return
    if augmentation.export is None or augmentation.source is None:
        raise UserError("stage=export needs augmentation.source=FOLDER and augmentation.export=NAME.jsonl or NAME.jsonl.gz")
    store = collection_of(inputs)
    generated = open_generated(augmentation.source, store, inputs.artifacts_dir)
    only, number = None, f"{len(store):,}"
    if augmentation.export_split is not None:
        only = _relevant(inputs, store, augmentation.export_split)
        number = f"{len(only):,} of {number}"
    with counting("passages", inputs.console, len(store)) as progress:
        export_generated(generated, store, Path(augmentation.export), progress, only)
    inputs.console.print(f"Exported {number} passages to {augmentation.export}", markup=False, soft_wrap=True)


def _relevant(inputs: StageInputs, store: PassageStore, split: Split) -> set[int]:
    """Rows of the passages that are relevant to a query of the split."""
    judgements = check_judgements(inputs.benchmark, split, store, inputs.problems())
    found = store.rows([judgement.passage_id for judgement in judgements if judgement.relevance > 0])
    if not found:
        raise UserError(f"augmentation.export_split must be a split with relevant passages, got {split}")
    return {row for row in found if row is not None}
