"""Reports an evaluation's answer in files, in the terminal and to the logger."""

from pathlib import Path

from lightning.pytorch.loggers import Logger
from rich.console import Console

from callbacks.logged_report import log_report
from callbacks.wandb_logger import log_files
from xdr.evaluation.metric_names import counts_ranks
from xdr.pipelines.report_evaluation import NOISY_QUERIES, write_answer
from xdr.reporting.evaluation_files import ROBUSTNESS
from xdr.reporting.findings import answer, coverage_sentence
from xdr.reporting.report import Report, best_system
from xdr.reporting.robustness import noise_findings
from xdr.reporting.terminal_table import control_terminal_table, evaluation_terminal_table
from xdr.sharding.encode import EncodingJob
from xdr.tasks.retrieval_task import EvaluationResult, RetrievalTask

FILES = ("report.html", "metrics.json", "significance.json", "per_query.parquet", "environment.json")
NOISE_FILES = (ROBUSTNESS, NOISY_QUERIES)


class ReportEvaluation:
    """`RetrievalEvaluation` calls it with its answer, in the first process only. `brief` prints no tables."""

    def __init__(
        self,
        task: RetrievalTask,
        headline: str,
        runs: bool,
        job: EncodingJob,
        output_dir: Path,
        console: Console,
        *,
        brief: bool,
    ) -> None:
        self._task, self._headline, self._runs = task, headline, runs
        self._job, self._output_dir, self._console, self._brief = job, output_dir, console, brief
        self.best: float | None = None
        """The headline metric of the best system that is no control."""

    def __call__(self, result: EvaluationResult, logger: Logger | None) -> None:
        report = write_answer(self._task, result, self._job, self._headline, self._runs, self._output_dir)
        candidates = (report.baseline, *report.candidates)
        self.best = report.value(best_system(candidates, report.means, report.headline_metric), report.headline_metric)
        if not self._brief:
            self._print_tables(report)
        self._console.print(answer(report), markup=False, soft_wrap=True)
        self._console.print(f"The report is {self._output_dir / 'report.html'}", markup=False, soft_wrap=True)
        if logger is not None:
            log_report(logger, report)
            log_files(
                logger,
                "report",
                [self._output_dir / name for name in (*FILES, *(NOISE_FILES if report.robustness is not None else ()))],
            )

    def _print_tables(self, report: Report) -> None:
        for warning in report.warnings:
            self._console.print(warning, style="yellow", markup=False, soft_wrap=True)
        for metric in (report.headline_metric, *filter(counts_ranks, report.metrics)):
            self._console.print(evaluation_terminal_table(report, metric))
        if beside_control := control_terminal_table(report, report.headline_metric):
            self._console.print(beside_control)
        if report.coverage is not None:
            self._console.print(coverage_sentence(report.coverage), markup=False, soft_wrap=True)
        for sentence in noise_findings(report):
            self._console.print(sentence, markup=False, soft_wrap=True)
