"""Pages rendered from the templates: one HTML file each, complete without a network, without scripts."""

import inspect
import re
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xdr.comparison.significance import RANDOMISATION, T_TEST
from xdr.evaluation.per_query import MACRO
from xdr.reporting import charts, findings, report, wording

if TYPE_CHECKING:
    from jinja2 import Environment

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_page(template: str, *modules: ModuleType, **values: Any) -> str:
    """The page as text. The template may call the functions of `modules`. Control characters and halves of surrogate pairs,
    which no document may contain, are replaced."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", _environment(modules).get_template(template).render(values))


@cache
def _environment(modules: tuple[ModuleType, ...]) -> "Environment":
    """Escapes every value and refuses undefined names. Templates know the functions of `modules` and of those below."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xdr.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: f"{round(value, 2):g}" if isinstance(value, float) else value,
    )
    for module in (charts, findings, report, wording, *modules):
        functions = inspect.getmembers(module, inspect.isfunction)
        environment.globals.update(functions)
        environment.filters.update(functions)
    environment.globals |= {"MACRO": MACRO, "RANDOMISATION": RANDOMISATION, "T_TEST": T_TEST}
    return environment
