"""Sweeps read as studies: their points, comparisons and answer, as a page, a table and figures.

settings: SweepSettings, FigureSettings
sweep_report: sweep_report, SweepReport
points: Point, collect_points
references: references, chosen_points                    what is compared, what was chosen on other queries
power: smallest_difference                               what the data could have shown
figure: panels                                           lines in panels
surface: surfaces                                        a metric over two numbers
findings: sweep_answer, could_have_shown
files: write_sweep
terminal_table: sweep_terminal_table
"""
