"""Checks PromQL against the metric catalogue: names, labels, and what is left of them on the way.

`problems(query)` is what a test of a rule, an alert or a panel asserts to be empty. It follows the
labels through the query, so that `sum by (task)` of what has lost its `task` is found as well, and
two sides that can never match.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

import promql_parser as promql

from laneway.observability.catalogue import CATALOGUE
from laneway.observability.metric import Metric
from laneway.observability.mixin.rules import RULE_GROUPS
from laneway.observability.outcomes import Outcome, OutcomeClass

Labels = frozenset[str]

TARGET_LABELS = frozenset({"namespace", "pod", "instance", "job"})
"""What Prometheus adds to each series of a process."""

ANY = "*"
"""Stands for labels that the catalogue does not know: those of an info metric."""

VALUES: Mapping[str, Labels] = {
    "outcome": frozenset(Outcome),
    "class": frozenset(get_args(OutcomeClass)),
    "slo": frozenset({"start", "finish", "success"}),
    "result": frozenset({"good", "bad", "ok", "error"}),
    "state": frozenset({"busy", "idle", "starting"}),
    "delay": frozenset({"now", "later"}),
    "final": frozenset({"true", "false"}),
    "handled": frozenset({"true", "false"}),
    "agg": frozenset({"max", "sum"}),
    "op": frozenset({"claim", "settle", "tend"}),
    "fate": frozenset({"finished", "requeued", "lost"}),
}
"""Labels that have few values, all known."""

_KEEPS_LABELS = ("topk", "bottomk", "limitk", "limit_ratio")
_SPAN = re.compile(
    r"\$(__rate_interval|__interval|__range)\b|\$\{(__rate_interval|__interval|__range)\}"
)
_WORDS = re.compile(r"[\w|]+")


def problems(query: str, also: Mapping[str, Labels] | None = None) -> list[str]:
    """What is wrong with a query; `also` are series of others, with all their labels."""
    return _checked(query, {**known_series(), **(also or {})}).found


def result_labels(query: str, also: Mapping[str, Labels] | None = None) -> Labels:
    """The labels that a result of the query can have."""
    return _checked(query, {**known_series(), **(also or {})}).labels or frozenset()


def series_in(query: str) -> set[str]:
    """The names of the series that a query reads."""
    return {selector.name for selector in _selectors(promql.parse(plain(query)))}


def plain(query: str) -> str:
    """A query of Grafana's, with a span in place of each of its variables for one."""
    return _SPAN.sub("5m", query)


@cache
def known_series() -> dict[str, Labels]:
    """Every series there is, with its labels: of the catalogue, and of the recording rules."""
    known = {name: labels for metric in CATALOGUE for name, labels in _series(metric)}
    for group in RULE_GROUPS:
        for rule in group.rules:
            known[rule.record] = _checked(rule.expr, known).labels or frozenset()
    return known


def _series(metric: Metric) -> Iterator[tuple[str, Labels]]:
    labels = frozenset(metric.labels) | TARGET_LABELS
    if metric.kind == "info":
        yield metric.name, labels | {ANY}
    elif metric.kind == "histogram":
        yield f"{metric.name}_bucket", labels | {"le"}
        yield f"{metric.name}_sum", labels
        yield f"{metric.name}_count", labels
    else:
        yield metric.name, labels


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if hasattr(node, name):
            yield from _selectors(getattr(node, name))
    for argument in getattr(node, "args", ()):
        yield from _selectors(argument)


@dataclass
class _Check:
    """Follows the labels upwards from the selectors. A scalar has None."""

    known: Mapping[str, Labels]
    found: list[str] = field(default_factory=list)
    labels: Labels | None = None

    def look(self, node: Any) -> Labels | None:
        looks = {
            promql.VectorSelector: self._selector,
            promql.AggregateExpr: self._aggregate,
            promql.BinaryExpr: self._binary,
            promql.Call: self._call,
            promql.MatrixSelector: lambda matrix: self.look(matrix.vector_selector),
            promql.NumberLiteral: lambda _: None,
            promql.StringLiteral: lambda _: None,
        }
        return looks.get(type(node), lambda inner: self.look(inner.expr))(node)

    def _selector(self, node: Any) -> Labels:
        if node.name not in self.known:
            self.found.append(f"no series is called {node.name}")
            return frozenset({ANY})
        labels = self.known[node.name]
        every = [*node.matchers.matchers, *(m for ms in node.matchers.or_matchers for m in ms)]
        self._need([matcher.name for matcher in every], labels, node.name)
        for matcher in every:
            self._check_value(matcher.name, matcher.value)
        return labels

    def _check_value(self, label: str, value: str) -> None:
        if label not in VALUES or not _WORDS.fullmatch(value):
            return
        for word in value.split("|"):
            if word not in VALUES[label]:
                self.found.append(f"{label} is never {word}")

    def _aggregate(self, node: Any) -> Labels:
        inner = self.look(node.expr) or frozenset()
        if str(node.op) in _KEEPS_LABELS:
            return inner
        if node.modifier is None:
            return frozenset()
        named = frozenset(node.modifier.labels)
        self._need(named, inner, str(node.op))
        if node.modifier.type == promql.AggModifierType.Without:
            return inner - named
        return named

    def _binary(self, node: Any) -> Labels | None:
        left, right = self.look(node.lhs), self.look(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        operator, modifier = str(node.op), node.modifier
        matching = modifier.matching if modifier else None
        named = frozenset(matching.labels) if matching else frozenset()
        on = bool(matching) and matching.type == promql.LabelModifierType.Include
        if on:
            self._need(named, left, f"left of {operator}")
            self._need(named, right, f"right of {operator}")
        elif ANY not in left | right and left - named != right - named and operator != "or":
            self.found.append(f"{operator}: {_listed(left)} never match {_listed(right)}")
        if operator in {"and", "unless"}:
            return left
        if operator == "or":
            return left | right
        return self._joined(left, right, named if on else left - named, modifier)

    def _joined(self, left: Labels, right: Labels, matched: Labels, modifier: Any) -> Labels:
        group = frozenset(modifier.group_labels or ()) if modifier else frozenset()
        cardinality = str(modifier.card) if modifier else ""
        if cardinality.endswith("ManyToOne"):
            self._need(group, right, "group_left")
            return left | group
        if cardinality.endswith("OneToMany"):
            self._need(group, left, "group_right")
            return right | group
        return matched

    def _call(self, node: Any) -> Labels | None:
        looked = [self.look(argument) for argument in node.args]
        if node.func.return_type == promql.ValueType.Scalar:
            return None
        labels = next((labels for labels in looked if labels is not None), frozenset())
        name = node.func.name
        if name in {"absent", "absent_over_time"}:
            return frozenset(
                matcher.name
                for selector in _selectors(node)
                for matcher in selector.matchers.matchers
                if matcher.op == promql.MatchOp.Equal
            )
        if name == "histogram_quantile":
            self._need(["le"], labels, name)
            return labels - {"le"}
        if name in {"label_replace", "label_join"}:
            return labels | {node.args[1].val}
        return labels

    def _need(self, labels: Sequence[str] | Labels, there: Labels, where: str) -> None:
        if ANY not in there:
            missing = sorted(set(labels) - there)
            self.found += [f"{where} has no label {label}" for label in missing]


def _checked(query: str, known: Mapping[str, Labels]) -> _Check:
    check = _Check(known)
    check.labels = check.look(promql.parse(plain(query)))
    return check


def _listed(labels: Labels) -> str:
    return f"({', '.join(sorted(labels))})"
