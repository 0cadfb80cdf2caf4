import json

from tests.noise.test_query_noise import of
from xdr.noise.noisy_queries import NoisyQueries
from xdr.text.records import Query

QUERIES = [Query("q1", "Missä Nokia on?", "fi"), Query("q2", "1984?", "fi"), Query("q3", "Nani?", "sw")]


def test_versions_are_those_of_the_noise_and_unchanged_queries_are_counted() -> None:
    noise = of("swap")
    noisy = NoisyQueries.of(QUERIES, noise)
    assert len(noisy.versions) == noise.versions == 10
    assert noisy.texts == [noise.noisy(query, version).text for version in range(1, 11) for query in QUERIES]
    assert noisy.texts[1] == "1984?" and noisy.num_unchanged == 1
    assert noisy.remarks() == ["1 of 3 queries have nothing that the noise could change: they count as they are"]
    assert noisy.described() == "swap 1; share 1, edits 1, shortest 3, window 1; 10 versions, seed 1"
    lines = [json.loads(line) for line in noisy.lines()]
    assert lines[1] == {"query_id": "q2", "lang": "fi", "version": 1, "text": "1984?", "clean": "1984?", "operators": []}
    assert NoisyQueries.of(QUERIES[::-1], noise).versions[4][0] == noisy.versions[4][2]  # the order does not matter
