"""Runs a script, and then tells which of the libraries that take seconds it has imported, and its CPU time."""

import runpy
import sys
import time

del sys.argv[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print({"torch", "transformers", "lightning"} & set(sys.modules), time.process_time(), sep="\n", file=sys.stderr)
