"""The figure of a study: a line for each combination of settings, in panels."""

from collections.abc import Sequence
from dataclasses import dataclass

from xdr.errors import UserError, did_you_mean
from xdr.reporting.report import Curve
from xdr.reporting.wording import value_text
from xdr.storage.fingerprint import Json
from xdr.studies.curves import axis_name, curve_of, placed_points
from xdr.studies.points import BASELINE, HYDE, NOISE, Point, axis_position, setting_name, setting_text
from xdr.studies.sweep_report import SweepReport
from xdr.vectors.fusion import QUERIES

SYSTEM = "system"


@dataclass(frozen=True)
class Panel:
    name: str
    lines: tuple[Curve, ...]


def panels(report: SweepReport) -> list[Panel]:
    """A panel for each value of `panels`, a line for each combination of `lines`. Empty without `sweep.figure.x`."""
    asked = report.settings.figure
    if asked.x is None or asked.y is not None or not report.points:
        return []
    x = key_of(report, asked.x)
    panel = None if asked.panels is None else key_of(report, asked.panels)
    names = [key for key in (SYSTEM, *report.distinguishing) if key not in (x, panel)] if asked.lines is None else asked.lines
    keys = [key_of(report, name) for name in names]
    grouped: dict[str, dict[str, list[Point]]] = {}
    for point in report.points:
        if axis_position(point.settings.get(x), x) is not None:
            lines = grouped.setdefault(group_of(point, [panel]) if panel else "", {})
            lines.setdefault(group_of(point, keys), []).append(point)
    found = []
    for name, lines in grouped.items():
        curves = [_line(report, x, line, points) for line, points in lines.items()]
        found.append(Panel(name, tuple(curve for curve in curves if len(curve.positions) > 1)))
    return [each for each in found if each.lines]


def limits_of(panels: Sequence[Panel]) -> tuple[float, float]:
    """One range for the vertical axes of all panels, which holds the lines, the bands and the intervals over seeds."""
    lines = [line for panel in panels for line in panel.lines]
    ends = [end for line in lines for end in (*line.values, *line.lower, *line.upper)]
    ends += [end for line in lines for interval in line.seed_intervals if interval for end in interval]
    margin = 0.06 * (max(ends) - min(ends)) or 0.01
    return max(0.0, min(ends) - margin), max(ends) + margin


def positions_of(panels: Sequence[Panel]) -> list[float]:
    return sorted({position for panel in panels for line in panel.lines for position in line.positions})


def lines_text(panel: Panel, metric: str) -> str:
    """The lines in words, for who cannot see them."""
    lines = []
    for line in panel.lines:
        values = (f"{value_text(metric, value)} at {at:g}" for at, value in zip(line.positions, line.values, strict=True))
        lines.append(f"{line.family}: {', '.join(values)}")
    return "; ".join(lines)


def _line(report: SweepReport, x: str, name: str, points: Sequence[Point]) -> Curve:
    placed = placed_points([*points], x)
    if (first := _at_zero(report, points[0], x)) is not None:
        placed = [(0.0, first), *placed]
    if len({position for position, _ in placed}) < len(placed):
        raise UserError(
            f"sweep.figure must have one point at each {setting_name(x)} of a line, got several of '{name}': "
            f"{placed[0][1].name} and others. Name what distinguishes them in sweep.figure.lines or sweep.figure.panels"
        )
    return curve_of(report, axis_name(points, x), name, placed)


def _at_zero(report: SweepReport, point: Point, x: str) -> Point | None:
    """The same system on clean queries, which stands at a noise of 0; or without generated passages, at a number of 0."""
    if x.startswith(NOISE):
        system, without = point.system.partition("@")[0], NOISE
    elif x.startswith(HYDE):
        system, without = _without_queries(point.system), HYDE
    else:
        return None
    settings = {key: value for key, value in _distinguishing(report, point).items() if not key.startswith(without)}
    alike = (other for other in report.points if other.system == system != point.system)
    return next((other for other in alike if _distinguishing(report, other) == settings), None)


def _without_queries(system: str) -> str:
    """The system without fused queries."""
    return "+".join(part for part in system.split("+") if not part.endswith(f"-{QUERIES}")) or BASELINE


def _distinguishing(report: SweepReport, point: Point) -> dict[str, Json]:
    return {key: value for key, value in point.settings.items() if key in report.distinguishing}


def key_of(report: SweepReport, name: str) -> str:
    """The setting that the sweep varies under this name, which is its key or the key's last part."""
    keys = [SYSTEM, *report.axes]
    found = [key for key in keys if key == name] or [key for key in keys if setting_name(key) == name]
    if len(found) != 1:
        remedy = did_you_mean(name, [*keys, *map(setting_name, keys)]) or f"these are {', '.join(keys)}"
        raise UserError(f"sweep.figure must name settings that the sweep varies, got {name}; {remedy}")
    return found[0]


def group_of(point: Point, keys: Sequence[str]) -> str:
    """The values of a point's settings as a name."""
    named = [(SYSTEM, point.system), *point.settings.items()]
    words = [value if key == SYSTEM else f"{setting_name(key)}={setting_text(value)}" for key, value in named if key in keys]
    return " ".join(map(str, words))
