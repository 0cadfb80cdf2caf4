"""Reports of evaluations as pages, files or terminal tables.

report: Report, FusedSystem, MovedQuery, best_system, is_significant, most_moved
report_page: render_report
findings: answer, findings
robustness: noise_findings                           what noise costs, and what is won back
evaluation_files: write_metrics, read_metrics, write_comparisons, write_robustness, write_environment
terminal_table: evaluation_terminal_table
"""
