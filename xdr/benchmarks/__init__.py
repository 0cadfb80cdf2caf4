"""Published benchmarks, read from their own files.

Each module has one benchmark: afriqa, dpr_nq, parallel_sentences, sample, swim_ir, xor_tydi, xquad_r.
"""
