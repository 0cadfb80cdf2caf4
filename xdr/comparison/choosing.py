"""Settings that were chosen on other queries: of each kind of systems, the one that was best there."""

import re
from collections.abc import Mapping, Sequence

from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery, means

_SETTING = re.compile(r"(?<=-[a-z])\d[\d.]*(?:e-?\d+)?(?=[-+]|$)")


def kind_of(system: str) -> str:
    """The name without the numbers of its settings: `unit_mean-a+csls-w` of `unit_mean-a0.5+csls-w0.75`."""
    return _SETTING.sub("", system)


def chosen_systems(names: Sequence[str], there: Mapping[str, PerQuery], metric: str) -> tuple[str, ...]:
    """Those of `names` that had the highest macro mean of their kind in another evaluation, the first of several."""
    best: dict[str, str] = {}
    for name, values in there.items():
        kind = kind_of(name)
        if kind not in best or means(values, metric).macro > means(there[best[kind]], metric).macro:
            best[kind] = name
    for kind in dict.fromkeys(map(kind_of, names)):
        if kind not in best:
            raise UserError(f"evaluation.choose_from must have a system of the kind {kind}, got {', '.join(there)}")
        if best[kind] not in names:
            raise UserError(
                f"the best system of its kind in evaluation.choose_from, {best[kind]}, is not searched here. "
                "Give both the same settings"
            )
    return tuple(name for name in names if name == best[kind_of(name)])
