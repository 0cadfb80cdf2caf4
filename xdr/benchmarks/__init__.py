"""Published benchmarks, read from their own files.

One a module: afriqa, dpr_nq, miracl, mlqa, parallel_sentences, sample, swim_ir, tydi_qa, xglue, xnli, xor_tydi, xquad_r.
What several share: squad (SQuAD's layout), parallel (queries that are asked in several languages).
"""
