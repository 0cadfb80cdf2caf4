"""What python.md shows: the names of `xdr`, and the classes that others extend, by their docstrings."""

import xdr

EXTENDED = {
    "Records": ("xdr.text.records", ("Passage", "Query", "TrainingExample", "Judgement", "GeneratedTexts")),
    "A benchmark": ("xdr.data.benchmark", ("Benchmark",)),
    "A fusion": ("xdr.vectors.fusion", ("Fusion",)),
    "A correction of hubs": ("xdr.vectors.corrections", ("Correction", "Penalty")),
    "An objective": ("xdr.objectives.batch_labels", ("BatchLabels", "Twins")),
    "A pooling": ("xdr.encoders.pooling", ("Pooling",)),
    "A generator": ("xdr.generators.generator", ("Generator", "Request", "Reply", "Written")),
    "A generator backend": ("xdr.writing.backends", ("BackendSettings", "Wanted", "Loaded")),
    "A teacher": ("xdr.teaching.teacher", ("Teacher", "LoadedTeacher", "TeacherSettings")),
    "A place for vectors": ("xdr.interop.vector_set", ("VectorTarget", "VectorSet", "Batch")),
    "Errors": ("xdr.errors", ("UserError",)),
}
"""Modules and their classes, in the order of CONTRIBUTING.md."""


def markdown() -> str:
    of_user = [_documented("xdr", name) for name in xdr.__all__]
    sections = [_section("Names of `xdr`", of_user)]
    for title, (module, names) in EXTENDED.items():
        sections.append(_section(title, [_documented(module, name) for name in names]))
    return "\n\n".join(sections)


def _documented(module: str, name: str) -> str:
    kind = "class" if name[0].isupper() else "function"
    return f".. auto{kind}:: {module}.{name}" + ("\n   :members:\n" if kind == "class" else "\n")


def _section(title: str, directives: list[str]) -> str:
    return "\n".join([f"## {title}", "", "```{eval-rst}", *directives, "```"])
