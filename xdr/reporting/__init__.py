"""Reports of evaluations and sweeps as pages, files or terminal tables.

report: Report, FusedSystem, MovedQuery, best_system, is_significant, most_moved
report_page: render_report
findings: answer, findings
evaluation_files: write_metrics, read_metrics, write_comparisons, write_environment
sweep: sweep_report, SweepReport
sweep_findings: sweep_answer
sweep_files: write_sweep
terminal_table: evaluation_terminal_table, sweep_terminal_table
"""
