"""The answers of an unfinished shard, in a file. A shard that was interrupted asks only for what is missing: each answer of a
server costs time or money, and a shard holds thousands."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from xdr.generators.generator import Generator, Reply, Request, Written
from xdr.storage.fingerprint import fingerprint


@dataclass
class KeptAnswers:
    """A `Generator` that writes each reply of another one to `file`, a line each, and repeats those it finds there. A request
    that is made again, because its texts were refused, is another request."""

    generator: Generator
    file: Path
    _kept: dict[str, Reply] = field(default_factory=dict)
    _made: Counter[str] = field(default_factory=Counter)

    def begin(self, seed: int) -> None:
        self._made.clear()
        self._kept = dict(_read(self.file))
        self.generator.begin(seed)

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        return self.generator.groups(languages)

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        names = [self._name(request) for request in requests]
        yield from ((place, self._kept[name]) for place, name in enumerate(names) if name in self._kept)
        missing = [place for place, name in enumerate(names) if name not in self._kept]
        if not missing:
            return
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("ab") as file:
            for own, reply in self.generator.write([requests[place] for place in missing]):
                answer = json.dumps([names[missing[own]], reply]).encode()
                # A line break comes first, because a kill may have left half a line.
                file.write(b"\n" + _checksum(answer) + b" " + answer)
                file.flush()
                yield missing[own], reply

    def _name(self, request: Request) -> str:
        name = fingerprint([request.prompt, request.language, request.number, request.template.output_length])
        self._made[name] += 1
        return f"{name} {self._made[name]}"


def _read(file: Path) -> Iterator[tuple[str, Reply]]:
    """Whole lines; what a kill or a disk has damaged is asked for again."""
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        checksum, _, answer = line.partition(b" ")
        if checksum == _checksum(answer):
            name, (texts, *counts) = json.loads(answer)
            yield name, Reply([Written(*text) for text in texts], *counts)


def _checksum(answer: bytes) -> bytes:
    return b"%08x" % crc32(answer)


def answers_file(folder: Path, shard: int) -> Path:
    """Where the answers of a shard are kept until it is whole."""
    return folder / ".answers" / f"shard-{shard:05d}.jsonl"
