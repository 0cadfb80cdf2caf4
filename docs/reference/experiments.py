"""What experiments.md shows: what each experiment and each study does, what to expect of it, and its command."""

from docs.reference.tables import code, described
from docs.reference.yaml_files import CONF, comment_of


def markdown() -> str:
    return "\n\n".join([_of_group("experiment", "Experiments"), _of_group("study", "Studies")])


def _of_group(group: str, title: str) -> str:
    sections = [f"## {title}"]
    for path in sorted((CONF / group).glob("*.yaml")):
        sections += [f"### {code(path.stem)}", described(comment_of(path.read_text(encoding="utf-8")))]
    return "\n\n".join(sections)
