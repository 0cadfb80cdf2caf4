"""Sweeps read as studies: their points, comparisons and answer, as a page, a table and figures.

sweep_report: sweep_report, SweepReport
points: Point, collect_points
findings: sweep_answer
files: write_sweep
terminal_table: sweep_terminal_table
"""
