"""CloudWatch's searches for metrics, as its guide has them ("search expression syntax"), for what dashboards search."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SEARCH = re.compile(r"SEARCH\('\{([^}]*)\} ([^']*)', '(\w+)', (\d+)\)")
_TERM = re.compile(r'(?:(\w+)=)?("[^"]*"|[^\s"]+)')
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MOST_CHARACTERS = 1_024


@dataclass(frozen=True)
class Search:
    """One of them.

    Attributes:
        schema: the namespace and the names of the dimensions.
        terms: each with the name of the property that it is about, or none.
    """

    schema: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]

    def finds(self, metric_name: str, dimensions: Mapping[str, str]) -> bool:
        """Whether a metric of the schema's namespace is found."""
        if set(self.schema[1:]) != set(dimensions):
            return False
        properties = {"MetricName": metric_name, **dimensions}
        return all(
            any(_matches(term, text) for name, text in properties.items() if about in {"", name})
            for about, term in self.terms
        )


def searches_in(expression: str) -> list[Search]:
    """All searches of an expression. Fails for one that CloudWatch would not take."""
    found = []
    for schema, terms, _, period in _SEARCH.findall(expression):
        assert len(terms) <= _MOST_CHARACTERS
        assert int(period) == 300
        found.append(Search(tuple(schema.split(",")), tuple(_TERM.findall(terms))))
    assert len(found) == expression.count("SEARCH(")
    return found


def _matches(term: str, text: str) -> bool:
    """What is quoted is the whole of a name; else its tokens follow each other in the name's."""
    if term.startswith('"'):
        return term.strip('"') == text
    wanted, given = _TOKEN.findall(term), _TOKEN.findall(text)
    return any(given[start : start + len(wanted)] == wanted for start in range(len(given) - len(wanted) + 1))
