"""The kinds of panels there are, each made into the model of Grafana's Foundation SDK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import ClassVar

from grafana_foundation_sdk.models import bargauge, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as sdk

from laneway.observability.mixin.dashboards import links

DATASOURCE = shared.DataSourceRef(type_val="prometheus", uid="${datasource}")
Step = tuple[float | None, str]

_LATEST = shared.ReduceDataOptions(calcs=["lastNotNull"], fields="", values=False)
_TARGET_LINE = (
    sdk.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "dark-red"}),
    sdk.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
    sdk.DynamicConfigValue("custom.lineWidth", 1),
    sdk.DynamicConfigValue("custom.fillOpacity", 0),
    sdk.DynamicConfigValue("custom.stacking", {"mode": "none", "group": "A"}),
)


@dataclass(frozen=True)
class Query:
    """One query of a panel; `column` is its heading in a table, `target` draws it as a limit."""

    expr: str
    legend: str = ""
    exemplar: bool = False
    target: bool = False
    column: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Panel:
    """What all panels have: a title, what it means, a unit, queries and a size on the grid."""

    kind: ClassVar[str]
    shape: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.TIME_SERIES
    instant: ClassVar[bool] = False

    title: str
    about: str
    unit: str
    queries: Sequence[Query]
    width: int = 8
    height: int = 8
    steps: Sequence[Step] = ()
    colours: Mapping[str, str] = field(default_factory=dict)

    def made(self) -> sdk.Panel:
        """The panel as Grafana knows it, not yet at its place."""
        return sdk.Panel(
            type_val=self.kind,
            title=self.title,
            description=self.about,
            datasource=DATASOURCE,
            targets=[self._target(n, query) for n, query in enumerate(self.queries)],
            options=self._options(),
            field_config=sdk.FieldConfigSource(self._defaults(), self._overrides()),
            transformations=self._transformations(),
        )

    def _target(self, number: int, query: Query) -> prometheus.Dataquery:
        return prometheus.Dataquery(
            datasource=DATASOURCE,
            expr=query.expr,
            ref_id=ascii_uppercase[number],
            legend_format=query.legend or "__auto",
            format_val=self.shape,
            instant=self.instant,
            range_val=not self.instant,
            exemplar=query.exemplar,
            editor_mode=prometheus.QueryEditorMode.CODE,
        )

    def _defaults(self) -> sdk.FieldConfig:
        """Unit, colours, and a link to the dashboard of the lane or task that a line is about."""
        steps = [sdk.Threshold(value, colour) for value, colour in self.steps]
        return sdk.FieldConfig(
            unit=self.unit,
            color=self._colour(),
            thresholds=sdk.ThresholdsConfig(sdk.ThresholdsMode.ABSOLUTE, steps) if steps else None,
            links=links.of_legends(query.legend for query in self.queries) or None,
            custom=self._custom(),
        )

    def _colour(self) -> sdk.FieldColor:
        return sdk.FieldColor(
            sdk.FieldColorModeId.THRESHOLDS if self.steps else sdk.FieldColorModeId.PALETTE_CLASSIC
        )

    def _overrides(self) -> list[sdk.DashboardFieldConfigSourceOverrides]:
        return [
            _override("byName", name, sdk.DynamicConfigValue("color", _fixed(colour)))
            for name, colour in self.colours.items()
        ]

    def _options(self) -> object:
        raise NotImplementedError

    def _custom(self) -> object | None:
        return None

    def _transformations(self) -> list[sdk.DataTransformerConfig] | None:
        return None


@dataclass(frozen=True)
class Lines(Panel):
    """Values over time; the steps of `limits` are drawn as dashed lines."""

    kind: ClassVar[str] = "timeseries"

    stacked: bool = False
    limits: Sequence[Step] = ()
    top: float | None = None

    def _options(self) -> timeseries.Options:
        legend = shared.VizLegendOptions(
            display_mode=shared.LegendDisplayMode.LIST,
            placement=shared.LegendPlacement.BOTTOM,
            show_legend=True,
            calcs=[],
        )
        tooltip = shared.VizTooltipOptions(
            mode=shared.TooltipDisplayMode.MULTI, sort=shared.SortOrder.DESCENDING
        )
        return timeseries.Options(legend=legend, tooltip=tooltip)

    def _colour(self) -> sdk.FieldColor:
        return sdk.FieldColor(sdk.FieldColorModeId.PALETTE_CLASSIC)

    def _defaults(self) -> sdk.FieldConfig:
        made = super()._defaults()
        made.min_val, made.max_val = 0, self.top
        if self.limits:
            steps = [sdk.Threshold(None, "transparent")]
            steps += [sdk.Threshold(value, colour) for value, colour in self.limits]
            made.thresholds = sdk.ThresholdsConfig(sdk.ThresholdsMode.ABSOLUTE, steps)
        return made

    def _custom(self) -> shared.GraphFieldConfig:
        stacking = shared.StackingMode.NORMAL if self.stacked else shared.StackingMode.NONE
        limits = shared.GraphThresholdsStyleMode
        return shared.GraphFieldConfig(
            line_width=1,
            fill_opacity=30 if self.stacked else 8,
            show_points=shared.VisibilityMode.NEVER,
            stacking=shared.StackingConfig(stacking, "A"),
            thresholds_style=shared.GraphThresholdsStyleConfig(
                limits.DASHED if self.limits else limits.OFF
            ),
        )

    def _overrides(self) -> list[sdk.DashboardFieldConfigSourceOverrides]:
        made = super()._overrides()
        for number, query in enumerate(self.queries):
            if query.target:
                made.append(_override("byFrameRefID", ascii_uppercase[number], *_TARGET_LINE))
        return made


@dataclass(frozen=True)
class Heat(Panel):
    """How many fell into each bucket of a histogram, over time."""

    kind: ClassVar[str] = "heatmap"
    shape: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.HEATMAP

    def _options(self) -> heatmap.Options:
        return heatmap.Options(
            calculate=False,
            cell_gap=1,
            color=heatmap.HeatmapColorOptions(
                mode=heatmap.HeatmapColorMode.SCHEME,
                scheme="Blues",
                scale=heatmap.HeatmapColorScale.EXPONENTIAL,
                exponent=0.5,
                steps=64,
                fill="dark-blue",
            ),
            exemplars=heatmap.ExemplarConfig("rgba(255,0,255,0.7)"),
            filter_values=heatmap.FilterValueRange(le=1e-9),
            legend=heatmap.HeatmapLegend(show=True),
            tooltip=heatmap.HeatmapTooltip(mode=shared.TooltipDisplayMode.SINGLE, y_histogram=True),
            y_axis=heatmap.YAxisConfig(unit=self.unit, axis_placement=shared.AxisPlacement.LEFT),
        )

    def _custom(self) -> heatmap.FieldConfig:
        return heatmap.FieldConfig(
            scale_distribution=shared.ScaleDistributionConfig(shared.ScaleDistribution.LINEAR)
        )


@dataclass(frozen=True)
class Number(Panel):
    """One number for now, with how it came to be behind it."""

    kind: ClassVar[str] = "stat"

    width: int = 3
    height: int = 4

    def _options(self) -> stat.Options:
        return stat.Options(
            graph_mode=shared.BigValueGraphMode.AREA,
            color_mode=shared.BigValueColorMode.VALUE,
            justify_mode=shared.BigValueJustifyMode.AUTO,
            text_mode=shared.BigValueTextMode.AUTO,
            orientation=shared.VizOrientation.AUTO,
            reduce_options=_LATEST,
        )

    def _colour(self) -> sdk.FieldColor:
        if self.steps:
            return super()._colour()
        return sdk.FieldColor(sdk.FieldColorModeId.FIXED, "blue")


@dataclass(frozen=True)
class Total(Number):
    """One number for all the time that is shown."""

    instant: ClassVar[bool] = True

    def _options(self) -> stat.Options:
        made = super()._options()
        made.graph_mode = shared.BigValueGraphMode.NONE
        return made


@dataclass(frozen=True)
class Bars(Panel):
    """One bar for each series, of its value now."""

    kind: ClassVar[str] = "bargauge"
    instant: ClassVar[bool] = True

    lowest: float = 0
    top: float | None = None

    def _options(self) -> bargauge.Options:
        return bargauge.Options(
            display_mode=shared.BarGaugeDisplayMode.BASIC,
            value_mode=shared.BarGaugeValueMode.TEXT,
            name_placement=shared.BarGaugeNamePlacement.LEFT,
            orientation=shared.VizOrientation.HORIZONTAL,
            sizing=shared.BarGaugeSizing.AUTO,
            reduce_options=_LATEST,
        )

    def _defaults(self) -> sdk.FieldConfig:
        made = super()._defaults()
        made.min_val, made.max_val = self.lowest, self.top
        return made


@dataclass(frozen=True)
class Table(Panel):
    """Rows by labels, a column for each query; `hidden` names labels that are left out."""

    kind: ClassVar[str] = "table"
    shape: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.TABLE
    instant: ClassVar[bool] = True

    labels: Sequence[str] = ()
    hidden: Sequence[str] = ()
    sort: str = ""

    def _options(self) -> table.Options:
        sort = [shared.TableSortByFieldState(self.sort, desc=True)] if self.sort else None
        return table.Options(show_header=True, sort_by=sort)

    def _custom(self) -> shared.TableFieldOptions:
        return shared.TableFieldOptions(filterable=True, align=shared.FieldTextAlignment.AUTO)

    def _transformations(self) -> list[sdk.DataTransformerConfig]:
        # Grafana names the column of a lone query plainly, others after the query's letter.
        lone = len(self.queries) == 1
        names = {
            "Value" if lone else f"Value #{ref}": query.column
            for ref, query in zip(ascii_uppercase, self.queries, strict=False)
            if query.column
        }
        order = {name: place for place, name in enumerate([*self.labels, *names])}
        organize = {
            "excludeByName": dict.fromkeys(["Time", "__name__", *self.hidden], True),
            "renameByName": names,
            "indexByName": order,
        }
        return [
            sdk.DataTransformerConfig("merge", options={}),
            sdk.DataTransformerConfig("organize", options=organize),
        ]

    def _overrides(self) -> list[sdk.DashboardFieldConfigSourceOverrides]:
        made = [
            _override("byName", query.column, sdk.DynamicConfigValue("unit", query.unit))
            for query in self.queries
            if query.unit
        ]
        for name, link in links.of_columns(self.labels):
            made.append(_override("byName", name, sdk.DynamicConfigValue("links", [link])))
        return made


def _override(
    matcher: str, options: str, *properties: sdk.DynamicConfigValue
) -> sdk.DashboardFieldConfigSourceOverrides:
    return sdk.DashboardFieldConfigSourceOverrides(
        matcher=sdk.MatcherConfig(matcher, options), properties=list(properties)
    )


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}
