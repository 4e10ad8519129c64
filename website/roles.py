"""Write docstrings for Markdown: roles such as ``:class:`~a.b.C``` become links to what the API pages document."""

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:class|func|meth|data|mod|attr|exc):`(~?)([\w.]+)`")
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
LITERAL = re.compile(r"``([^`\n]+)``")


def with_links(text: str, scope: str = "") -> str:
    """Write a docstring for Markdown. A link to something without an entry stays plain text.

    Args:
        text: The docstring, with roles and literals of reStructuredText.
        scope: The full name of the class or module in which names without a dot are looked up.

    Example:
        >>> with_links("See :func:`~lightning_prune.prune` and ``x``.")
        'See <autoref identifier="lightning_prune.prune" optional><code>prune</code></autoref> and `x`.'
    """

    def link(match: re.Match[str]) -> str:
        name = match[2]
        target = name if "." in name or not scope else f"{scope}.{name}"
        shown = name.rpartition(".")[2] if match[1] else name
        return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>'

    return EXAMPLE.sub(r"\1Examples:", LITERAL.sub(r"`\1`", ROLE.sub(link, text)))  # the plural is read as code


class Roles(Extension):
    """The extension of griffe that rewrites every docstring."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            scope = obj if obj.is_class or obj.is_module else obj.parent
            obj.docstring.value = with_links(obj.docstring.value, "" if scope is None else scope.path)
