"""Pages that need nothing else: no scripts, no fonts, no addresses. One look for all of them, in light, dark and print.

A page's template takes ``style.css`` in with ``{% include "style.css" %}``.
"""

from __future__ import annotations

from typing import Any

from shipfit.core.units import GIB


def render_page(package: str, template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        package: that holds the template, as ``shipfit.loadtest``.
        template: its file name.
        values: what it shows; all text is escaped.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # only a page needs it

    jinja = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("shipfit.core.pages", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {"number": number, "gib": lambda count: number(count / GIB), "share": share}
    return jinja.get_template(template).render(**values)


def number(value: float) -> str:
    """Three significant digits, at least the whole part, as 0.071, 2.13, 190, 12,345; integers are whole."""
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    size = abs(value)
    places = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{places}f}"


def share(value: float) -> str:
    """A share of 1 as percent."""
    return f"{number(value * 100)}%"
