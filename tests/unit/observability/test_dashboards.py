import itertools
import json
import re
from pathlib import Path

import promql_parser as promql
import pytest
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from laneway.observability.catalogue import CATALOGUE
from laneway.observability.mixin.dashboards.board import plain
from laneway.observability.mixin.dashboards.boards import BOARDS, UNSHOWN
from laneway.observability.mixin.drawing.answers import panels
from laneway.observability.mixin.drawing.span import Span
from queries import TARGET_LABELS, problems

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
FILES = ROOT / "charts" / "laneway" / "files" / "dashboards"
MADE = {board.name: plain(board.made()) for board in BOARDS}
PANELS = [
    pytest.param(panel, id=f"{name} / {panel['title']}")
    for name, board in MADE.items()
    for panel in panels(board)
]
# Every process tells these alike: a sum over pods would tell them many times over.
TOLD_ALIKE = {
    *("laneway_queue_depth", "laneway_queue_unacked", "laneway_queue_delayed"),
    *("laneway_queue_oldest_age_seconds", "laneway_queue_workers"),
    *("laneway_dead_letters", "laneway_dead_letter_oldest_age_seconds"),
    *(
        "laneway_slo_threshold_seconds",
        "laneway_slo_objective_ratio",
        "laneway_broker_memory_bytes",
    ),
}
SCRAPED = {
    name: frozenset(TARGET_LABELS)
    for name in ("up", "scrape_duration_seconds", "scrape_samples_scraped")
}
"""What Prometheus writes beside each scrape."""

whole_boards = pytest.mark.parametrize("board", MADE.values(), ids=MADE)
each_panel = pytest.mark.parametrize("panel", PANELS)


def queries(board):
    """Every query of a dashboard: its panels', its marks' and its variables'."""
    for panel in panels(board):
        yield from (target["expr"] for target in panel["targets"])
    yield from (mark["expr"] for mark in board["annotations"]["list"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield re.fullmatch(r"label_values\((.+), \w+\)", variable["definition"])[1]


def filled(expr):
    return Span(0, 21_600).filled(expr)


def selectors(expr):
    found = []

    def visit(node):
        found.extend([node] if isinstance(node, promql.VectorSelector) else [])

    promql.walk(promql.parse(expr), visit)
    return found


def test_the_files_are_what_the_code_makes():
    kept = {path.stem: path.read_text(encoding="utf-8") for path in FILES.glob("*.json")}
    assert kept == {board.name: board.json() for board in BOARDS}, "run `make dashboards`"


def test_addresses_never_change():
    assert [board["uid"] for board in MADE.values()] == [
        *("laneway-overview", "laneway-queue", "laneway-task", "laneway-failures"),
        *("laneway-workers", "laneway-scaling", "laneway-telemetry"),
    ]


@whole_boards
def test_it_is_a_dashboard_by_grafanas_own_model(board):
    register_default_plugins()
    assert plain(Dashboard.from_json(json.loads(json.dumps(board)))) == board


@whole_boards
def test_it_is_not_edited_by_hand_and_leads_to_the_others(board):
    assert board["editable"] is False
    assert board["tags"] == ["laneway"]
    assert [link["tags"] for link in board["links"]] == [["laneway"]]


@whole_boards
def test_variables_are_asked_anew_for_each_time(board):
    asked = [one for one in board["templating"]["list"] if one["type"] == "query"]
    assert [one["name"] for one in asked][:2] == ["namespace", "queue"]
    for variable in asked:
        assert variable["refresh"] == 2
        assert (variable["includeAll"], variable["allValue"]) == (True, ".*")
        assert variable["multi"] == (variable["name"] != "namespace")


@whole_boards
def test_every_variable_that_is_used_exists(board):
    have = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)(\w+)", " ".join(queries(board))))
    used |= set(re.findall(r"\${(?!__)(\w+)", json.dumps(board)))
    assert used <= have


@whole_boards
def test_panels_do_not_overlap(board):
    taken = [
        (panel["gridPos"]["x"] + right, panel["gridPos"]["y"] + down)
        for panel in board["panels"]
        for right, down in itertools.product(
            range(panel["gridPos"]["w"]), range(panel["gridPos"]["h"])
        )
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@whole_boards
def test_numbers_and_titles_of_panels_are_their_own(board):
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    titles = [(panel["type"], panel["title"]) for panel in panels(board)]
    assert len(set(titles)) == len(titles)


@each_panel
def test_a_panel_says_what_it_shows(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    assert panel["type"] != "piechart"


@whole_boards
def test_queries_name_only_what_the_catalogue_has(board):
    wrong = {expr: found for expr in queries(board) if (found := problems(filled(expr), SCRAPED))}
    assert wrong == {}


@whole_boards
def test_queries_keep_to_the_variables(board):
    for expr in queries(board):
        for selector in selectors(expr.replace("$__rate_interval", "5m").replace("$__range", "6h")):
            matched = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            if matched:
                assert matched["namespace"] == "$namespace", expr


@each_panel
def test_rates_are_taken_over_grafanas_interval(panel):
    for target in panel["targets"]:
        ranges = set(re.findall(r"\[([^]]+)\]", target["expr"]))
        assert ranges <= {"$__rate_interval", "$__range"}


@each_panel
def test_what_every_process_tells_alike_is_not_summed_over_pods(panel):
    for target in panel["targets"]:
        for operator, name in re.findall(
            r"(\w+) (?:by \([^)]*\) )?\((laneway_\w+)", target["expr"]
        ):
            assert name not in TOLD_ALIKE or operator in {"max", "min"}


@each_panel
def test_waits_and_runs_lead_to_traces(panel):
    for target in panel["targets"]:
        if target["instant"] or panel["type"] == "stat":
            continue
        if re.search(r"laneway_(queue_wait|attempt_duration)_seconds_bucket", target["expr"]):
            assert target["exemplar"]


@pytest.mark.parametrize(("label", "uid"), [("queue", "laneway-queue"), ("task", "laneway-task")])
def test_a_line_or_row_of_a_lane_or_task_leads_to_its_dashboard(label, uid):
    for board in MADE.values():
        for panel in panels(board):
            legends = " ".join(target["legendFormat"] for target in panel["targets"])
            columns = json.dumps(panel.get("transformations", []))
            if f"{{{{{label}}}}}" in legends or f'"{label}": ' in columns:
                assert f"/d/{uid}?" in json.dumps(panel["fieldConfig"])


def test_every_metric_is_shown_or_left_out_with_a_reason():
    asked = " ".join(expr for board in MADE.values() for expr in queries(board))
    shown = {m.name for m in CATALOGUE if re.search(rf"\b{m.name}(_bucket|_sum|_count)?{{", asked)}
    assert {metric.name for metric in CATALOGUE} - shown == set(UNSHOWN)
    assert all(UNSHOWN.values())
