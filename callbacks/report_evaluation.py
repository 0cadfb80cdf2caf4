"""What becomes of an evaluation's answer: files, the terminal, the logger."""

from pathlib import Path

from lightning.pytorch.loggers import Logger
from rich.console import Console

from callbacks.wandb_logger import log_table
from xdr.evaluation.findings import answer
from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import MACRO
from xdr.evaluation.report import Report, best_system
from xdr.evaluation.significance import RANDOMISATION
from xdr.evaluation.terminal_table import as_terminal_table
from xdr.training.encode import EncodingJob
from xdr.training.report_answer import write_answer
from xdr.training.retrieval_task import Answer, RetrievalTask


class ReportEvaluation:
    """Called by `RetrievalEvaluation`, in the first process alone."""

    def __init__(
        self, task: RetrievalTask, headline: str, runs: bool, job: EncodingJob, output_dir: Path, console: Console
    ) -> None:
        self._task, self._headline, self._runs = task, headline, runs
        self._job, self._output_dir, self._console = job, output_dir, console
        self.best: float | None = None
        """The headline figure of the best system."""

    def __call__(self, found: Answer, logger: Logger | None) -> None:
        report = write_answer(self._task, found, self._job, self._headline, self._runs, self._output_dir)
        self.best = report.value(best_system(report.systems, report.means, report.headline_metric), report.headline_metric)
        for warning in report.warnings:
            self._console.print(warning, style="yellow", markup=False, soft_wrap=True)
        for metric in (report.headline_metric, *filter(counts_ranks, report.metrics)):
            self._console.print(as_terminal_table(report, metric))
        self._console.print(answer(report), markup=False, soft_wrap=True)
        self._console.print(f"The report is {self._output_dir / 'report.html'}", markup=False, soft_wrap=True)
        if logger is not None:
            log_report(logger, report)


def log_report(logger: Logger, report: Report) -> None:
    """`SYSTEM/METRIC/LANGUAGE`, differences and corrected p; as tables the alpha curve and the queries that moved most."""
    values = {
        f"{system}/{metric}/{language}": value
        for system in report.systems
        for metric in report.metrics
        for language, value in report.means[system][metric].as_json().items()
    }
    for each in report.comparisons:
        name = f"{each.system}/{each.metric}/{each.language}"
        values[f"{name}/difference"] = each.mean_difference
        corrected = each.corrected_p[RANDOMISATION]
        if corrected is not None:
            values[f"{name}/corrected_p"] = corrected
    logger.log_metrics(values)
    curve = [[f.family, f.alpha, report.value(f.name, report.headline_metric, MACRO)] for f in report.fused]
    log_table(logger, "alpha_curve", ("fusion", "alpha", report.headline_metric), curve)
    moved = [
        [m.query_id, m.language, m.query, m.gold_passage_title, m.rank_before, m.rank_after, str(dict(m.questions))]
        for m in report.moved
    ]
    log_table(
        logger, "moved_most", ("query_id", "language", "query", "passage", "rank before", "rank after", "questions"), moved
    )
