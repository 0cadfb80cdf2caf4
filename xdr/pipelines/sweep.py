"""stage=sweep: the jobs of a sweep in one table and one page, also while they run."""

from collections.abc import Callable, Sequence

from lightning.pytorch.loggers import Logger
from rich.console import Console

from xdr.comparison.significance import Testing
from xdr.storage.jobs import Job, read_jobs
from xdr.studies.files import write_sweep
from xdr.studies.findings import could_have_shown, sweep_answer
from xdr.studies.settings import SweepSettings
from xdr.studies.sweep_report import SweepReport, sweep_report
from xdr.studies.terminal_table import sweep_terminal_table
from xdr.tasks.settings import StageInputs
from xdr.training.run import silence_libraries


def read_sweep(inputs: StageInputs, settings: SweepSettings, log: Callable[[Logger, SweepReport], None]) -> None:
    """`log` sends the report to the logger."""
    folder, wanted = inputs.output_dir, inputs.evaluation
    jobs = read_jobs(folder)
    silence_libraries()
    report = sweep_report(
        folder.name,
        jobs,
        settings,
        Testing(wanted.num_samples, wanted.confidence, wanted.seed, wanted.cluster),
    )
    write_sweep(report, folder)
    _print(report, jobs, inputs.console)
    inputs.console.print(f"Page: {folder / 'sweep.html'}", markup=False, soft_wrap=True)
    with inputs.logging("sweep") as logger:
        log(logger, report)


def _print(report: SweepReport, jobs: Sequence[Job], console: Console) -> None:
    console.print(sweep_terminal_table(report))
    for job in jobs:
        if job.state != "done":
            reason = f": {job.error}" if job.error else ""
            console.print(f"job {job.name} is {job.state}{reason}", markup=False, soft_wrap=True)
    for sentence in (sweep_answer(report), *could_have_shown(report), *report.warnings()):
        console.print(sentence, markup=False, soft_wrap=True)
