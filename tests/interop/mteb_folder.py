"""A small data set in the hub's layout for MTEB's task XQuADRetrieval."""

import json
from pathlib import Path

CORPUS = {
    "d0": ("Saimaa", "Saimaa is the largest lake in Finland."),
    "d1": ("", "Kimchi is made of fermented cabbage."),
    "d2": ("", "The Volga flows into the Caspian Sea."),
}
QUERIES = {"q0": "Where is Saimaa?", "q1": "What is kimchi made of?", "q2": "Into which sea does the Volga flow?"}
RELEVANT = {"q0": "d0", "q1": "d1", "q2": "d2"}


def write_folder(folder: Path) -> Path:
    """With the subset `en`."""
    folder.mkdir()
    parts = {
        "corpus": [{"_id": name, "title": title, "text": text} for name, (title, text) in CORPUS.items()],
        "queries": [{"_id": name, "text": text} for name, text in QUERIES.items()],
        "qrels": [{"query-id": query, "corpus-id": passage, "score": 1} for query, passage in RELEVANT.items()],
    }
    configs = "configs:\n"
    for name, rows in parts.items():
        (folder / f"en-{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        configs += f"- config_name: en-{name}\n  data_files:\n  - split: validation\n    path: en-{name}.jsonl\n"
    (folder / "README.md").write_text(f"---\n{configs}---\n")
    return folder
