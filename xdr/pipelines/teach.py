"""stage=teach: a teacher's scores of the training queries' passages, for `data.teacher_scores`."""

from xdr.errors import UserError
from xdr.sharding.teach import TeachingJob, plan_scores, score_lists
from xdr.storage.files import write_json
from xdr.tasks.settings import StageInputs
from xdr.teaching.lists import read_lists
from xdr.teaching.scores import REPORT, shares_of_positives
from xdr.training.run import silence_libraries


def teach(inputs: StageInputs) -> None:
    """The teacher comes before the data: a wrong path is found before a long conversion."""
    if inputs.teacher is None or inputs.lists is None:
        raise UserError("stage=teach needs a teacher: teacher=encoder, late_interaction, ... and its teacher.path")
    silence_libraries()
    trainer, problems = dict(inputs.trainer), inputs.problems()
    loaded = inputs.teacher.load(str(trainer["precision"]))
    lists = read_lists(inputs.benchmark, inputs.lists, inputs.artifacts_dir, problems)
    for note in problems.report():
        inputs.console.print(note, style="yellow", markup=False)
    job = TeachingJob(loaded, lists, inputs.lists.shard_size, inputs.artifacts_dir)
    if inputs.plan:
        plan_scores(job, trainer, inputs.console)
        return
    with inputs.logging("teach") as logger:
        scores = score_lists(job, trainer, inputs.console, inputs.engine)
        shares = shares_of_positives(lists, scores)
        logger.log_metrics({f"positive_first/{language}": share for language, share in shares.items()})
        logger.save()
    report = inputs.output_dir / REPORT
    made = {"scores": str(scores.folder.resolve()), "fingerprint": scores.fingerprint}
    write_json(report, {**made, "lists": len(lists), "pairs": lists.num_pairs, "positive_first": shares})
    by_language = ", ".join(f"{language} {share:.0%}" for language, share in shares.items())
    counted = f"{len(lists):,} lists, {lists.num_pairs:,} pairs. A positive is first: {by_language}"
    inputs.console.print(counted, markup=False, soft_wrap=True)
    inputs.console.print(f"Scores: {scores.folder}\nReport: {report}", markup=False, soft_wrap=True)
