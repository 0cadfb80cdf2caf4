"""Which point each point is compared with, and which points were chosen on other queries."""

from collections.abc import Mapping, Sequence

from xdr.errors import UserError, did_you_mean
from xdr.evaluation.metric_names import counts_ranks
from xdr.studies.points import BASELINE, Point, setting_name, settings_text


def words_of(point: Point) -> set[str]:
    """The words of a point's name. A system on noisy queries has the words of the system, too."""
    return {point.system, point.system.partition("@")[0], *settings_text(point.settings)}


def points_with(points: Sequence[Point], words: str, setting: str) -> list[Point]:
    """The points whose name is `words`, or else those whose names have all of these words. There must be one."""
    found = [point for point in points if point.name == words and words != BASELINE]
    found = found or [point for point in points if set(words.split()) <= words_of(point)]
    if not found:
        names = [point.name for point in points]
        remedy = did_you_mean(words, names) or f"there are {', '.join(names[:8])}"
        raise UserError(f"{setting} must be words of a point of this sweep, got {words}; {remedy}")
    return found


def references(points: Sequence[Point], baseline: str, chosen: Sequence[str]) -> dict[str, str]:
    """The name of the point that each point is compared with: the one that has the words of `baseline` and is otherwise like
    it, with equal noise. A point on noisy queries that has these words is compared with itself on clean ones. If `baseline`
    names one point, all are compared with it. The values of `chosen` settings may differ."""
    candidates = points_with(points, baseline, "sweep.baseline")
    if candidates[0].name == baseline != BASELINE:
        return {point.name: baseline for point in points if point.name != baseline}
    words = baseline.split()
    but = {word.partition("=")[0] for word in words if "=" in word} | set(map(setting_name, chosen))
    names_system = any("=" not in word for word in words)
    found = {}
    for point in points:
        noise = "" if point in candidates else _noise(point)
        alike = [
            other.name
            for other in candidates
            if other != point
            and _noise(other) == noise
            and (names_system or _same_system(point, other))
            and _alike(point, other, but)
        ]
        if len(alike) == 1:
            found[point.name] = alike[0]
    return found


def _noise(point: Point) -> str:
    return point.system.partition("@")[2]


def _same_system(point: Point, other: Point) -> bool:
    return point.system.partition("@")[0] == other.system.partition("@")[0]


def _alike(point: Point, other: Point, but: set[str]) -> bool:
    """Whether the settings that both have are equal, except those in `but`."""
    shared = [key for key in point.settings if key in other.settings and setting_name(key) not in but]
    return all(point.settings[key] == other.settings[key] for key in shared)


def chosen_points(points: Sequence[Point], chosen: Sequence[str], elsewhere: Mapping[str, float], metric: str) -> list[Point]:
    """Of points that differ in the `chosen` settings alone, the one that was best on the other queries, whose values are
    `elsewhere` by the point's name."""
    best: dict[str, Point] = {}
    for point in points:
        if point.name not in elsewhere:
            raise UserError(
                f"sweep.choose_from must be the same sweep on other queries, but '{point.name}' is not in it. Run it with the "
                "same settings"
            )
        key = str(
            (point.system, [(k, v) for k, v in point.settings.items() if k not in chosen and setting_name(k) not in chosen])
        )
        if key not in best or better(metric, elsewhere[point.name], elsewhere[best[key].name]):
            best[key] = point
    return [point for point in points if point in best.values()]


def better(metric: str, value: float, other: float) -> bool:
    return value < other if counts_ranks(metric) else value > other
