"""A dashboard: its variables, its links, and its panels set out row by row."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as sdk

from laneway.observability.catalogue import ATTEMPTS, BUILD, DRAINING, QUEUE_DEPTH
from laneway.observability.mixin.dashboards.panels import DATASOURCE, Panel
from laneway.observability.mixin.dashboards.promql import pick, told

TAG = "laneway"
GRID = 24
_ALL = sdk.VariableOption(selected=True, text="All", value="$__all")


@dataclass(frozen=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """One dashboard; `variables` are those after data source and namespace."""

    name: str
    title: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[str] = ("queue",)

    @property
    def uid(self) -> str:
        """What links and alerts call it; it never changes."""
        return f"{TAG}-{self.name}"

    def made(self) -> sdk.Dashboard:
        """The dashboard as Grafana knows it."""
        return sdk.Dashboard(
            uid=self.uid,
            title=f"Laneway / {self.title}",
            description=self.about,
            tags=[TAG],
            editable=False,
            graph_tooltip=sdk.DashboardCursorSync.CROSSHAIR,
            time=sdk.DashboardDashboardTime("now-6h", "now"),
            refresh="1m",
            panels=list(self._panels()),
            templating=sdk.DashboardDashboardTemplating(self._variables()),
            annotations=sdk.AnnotationContainer(_annotations("queue" in self.variables)),
            links=[_LINK],
        )

    def json(self) -> str:
        """The dashboard's file, the same for the same code."""
        return json.dumps(plain(self.made()), indent=1, sort_keys=True) + "\n"

    def _panels(self) -> Iterator[sdk.Panel | sdk.RowPanel]:
        number, top = 1, 0
        for row in self.rows:
            place = sdk.GridPos(h=1, w=GRID, x=0, y=top)
            yield sdk.RowPanel(title=row.title, grid_pos=place, id_val=number, panels=[])
            number, left, top, below = number + 1, 0, top + 1, top + 1
            for panel in row.panels:
                if left + panel.width > GRID:
                    left, top = 0, below
                made = panel.made()
                made.id_val = number
                made.grid_pos = sdk.GridPos(h=panel.height, w=panel.width, x=left, y=top)
                yield made
                number, left = number + 1, left + panel.width
                below = max(below, top + panel.height)
            top = below

    def _variables(self) -> list[sdk.VariableModel]:
        return [_DATASOURCE, _NAMESPACE, *(_QUERIED[name] for name in self.variables)]


def plain(dashboard: sdk.Dashboard) -> dict[str, Any]:
    """A dashboard as JSON has it."""
    made: dict[str, Any] = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    _show_links(made)
    return made


def _show_links(part: Any) -> None:
    """The SDK puts every link and annotation into a menu, and cannot be told otherwise."""
    if isinstance(part, dict):
        if part.get("placement") == sdk.DashboardLinkPlacement.IN_CONTROLS_MENU:
            del part["placement"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _show_links(inner)


def _queried(name: str, label: str, series: str, *, multi: bool) -> sdk.VariableModel:
    query = f"label_values({series}, {name})"
    return sdk.VariableModel(
        type_val=sdk.VariableType.QUERY,
        name=name,
        label=label,
        datasource=DATASOURCE,
        definition=query,
        query={"qryType": 1, "query": query, "refId": f"variable-{name}"},
        refresh=sdk.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=sdk.VariableSort.ALPHABETICAL_ASC,
        include_all=True,
        all_value=".*",
        multi=multi,
        current=_ALL,
    )


_DATASOURCE = sdk.VariableModel(
    type_val=sdk.VariableType.DATASOURCE, name="datasource", label="Data source", query="prometheus"
)
_NAMESPACE = _queried("namespace", "Namespace", BUILD.name, multi=False)
_QUERIED = {
    "queue": _queried("queue", "Queue", pick(QUEUE_DEPTH, queue="!"), multi=True),
    "task": _queried("task", "Task", pick(ATTEMPTS), multi=True),
}
_LINK = sdk.DashboardLink(
    title="Laneway",
    type_val=sdk.DashboardLinkType.DASHBOARDS,
    icon="external link",
    tooltip="The other dashboards, of the same lanes and the same time",
    tags=[TAG],
    include_vars=True,
    keep_time=True,
)


def _annotations(has_queue: bool) -> list[sdk.AnnotationQuery]:
    builds = f"count by (namespace, version) ({pick(BUILD)}"
    marks = [
        _mark(
            "Deploys",
            f"{builds}) unless {builds} offset 5m)",
            "purple",
            "Version {{version}} began",
        )
    ]
    if has_queue:
        drains = f"{told(DRAINING)} == 1"
        marks.append(_mark("Drains", drains, "orange", "{{queue}}: a worker drains", on=False))
    return marks


def _mark(name: str, expr: str, colour: str, title: str, *, on: bool = True) -> sdk.AnnotationQuery:
    return sdk.AnnotationQuery(
        name=name,
        datasource=DATASOURCE,
        enable=on,
        icon_color=colour,
        expr=expr,
        step="60s",
        title_format=title,
    )
