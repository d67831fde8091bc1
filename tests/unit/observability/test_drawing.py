import json
import math
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest

from laneway.observability.mixin.dashboards.board import plain
from laneway.observability.mixin.dashboards.boards import BOARDS
from laneway.observability.mixin.drawing import units
from laneway.observability.mixin.drawing.answers import Answer, panels
from laneway.observability.mixin.drawing.picture import draw
from laneway.observability.mixin.drawing.prometheus import Prometheus, Series
from laneway.observability.mixin.drawing.span import Span
from observed.panels import empty_panels

pytestmark = pytest.mark.unit

SPAN = Span(1_700_000_000, 1_700_003_600, 15)
MADE = {board.name: plain(board.made()) for board in BOARDS}
DRAWN = ("overview", "telemetry")
LABELS = {
    "namespace": "prod",
    "queue": "documents",
    "task": "documents.embed",
    "pod": "documents-1",
    "outcome": "success",
    "error_type": "ValueError",
    "slo": "start",
    "le": "0.5",
}


@contextmanager
def answering(value):
    """Speaks as Prometheus does, and has one series of one value for every query."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            one, kind = {"metric": LABELS}, "matrix"
            if "time" in asked:
                one["value"], kind = [float(asked["time"][0]), value], "vector"
            else:
                one["values"] = [[float(asked["start"][0]), value], [float(asked["end"][0]), value]]
            found = [] if value is None else [one]
            answer = {"status": "success", "data": {"resultType": kind, "result": found}}
            self.send_response(400 if "refuse" in asked["query"][0] else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def pictures():
    with answering("0.25") as url:
        yield {name: draw(MADE[name], Prometheus(url), SPAN) for name in DRAWN}


def kinds(names):
    return {panel["type"] for name in names for panel in panels(MADE[name])}


def letters(picture):
    return re.findall(r"<text[^>]*>([^<]+)</text>", picture)


def test_the_pictures_drawn_here_have_every_kind_of_panel():
    assert kinds(DRAWN) == kinds(MADE)


def test_a_picture_has_every_panel_with_its_data(pictures):
    for name, picture in pictures.items():
        titles = {panel["title"] for panel in panels(MADE[name])}
        written = letters(picture)
        assert {title for title in titles if len(title) < 20} <= set(written)
        assert "No data" not in written
        assert len(picture) < 300_000


def test_a_time_of_no_whole_number_of_steps_is_drawn_to_its_end():
    odd = Span(SPAN.start_s, SPAN.start_s + 109.8, 1)
    with answering("0.25") as url:
        assert "<svg" in draw(MADE["telemetry"], Prometheus(url), odd)


def test_a_picture_shows_values_in_their_unit(pictures):
    overview = letters(pictures["overview"])
    assert {"25 %", "250 ms", "0.25/s", "prod/documents"} <= set(overview)


def test_the_same_answers_make_the_same_picture(pictures):
    with answering("0.25") as url:
        assert draw(MADE["telemetry"], Prometheus(url), SPAN) == pictures["telemetry"]


@pytest.mark.parametrize("value", [None, "NaN"])
def test_what_brings_nothing_is_drawn_and_listed_as_empty(value):
    with answering(value) as url:
        picture = draw(MADE["telemetry"], Prometheus(url), SPAN)
        empty = empty_panels(url, SPAN.start_s, SPAN.end_s)
    assert 'telemetry / stat Processes / A: count (laneway_build_info{namespace=~".*"})' in empty
    assert len(empty) == sum(
        len(panel["targets"]) for board in MADE.values() for panel in panels(board)
    )
    assert "No data" in letters(picture)


def test_nothing_is_empty_where_every_query_has_a_value():
    with answering("1") as url:
        assert empty_panels(url, SPAN.start_s, SPAN.end_s) == []


def test_a_refused_query_says_which():
    with answering("1") as url, pytest.raises(ValueError, match=r"refused refuse\(me\)"):
        Prometheus(url).at("refuse(me)", SPAN.end_s)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "s", "0 s"),
        (0.0005, "s", "500 µs"),
        (0.9999, "s", "1 s"),
        (90, "s", "1.5 min"),
        (7_200, "s", "2 h"),
        (1_536, "bytes", "1.5 KiB"),
        (999_999, "short", "1 M"),
        (1234, "short", "1.23 K"),
        (0.123, "percentunit", "12.3 %"),
        (0.00003, "percentunit", "0 %"),
        (2.5, "suffix:/min", "2.5/min"),
        (math.nan, "s", "-"),
        (math.inf, "s", "∞"),
    ],
)
def test_numbers_read_as_people_write_them(value, unit, shown):
    assert units.text(value, unit) == shown


@pytest.mark.parametrize(
    ("top", "unit", "marks"),
    [
        (0.99, "percentunit", [0, 0.2, 0.4, 0.6, 0.8]),
        (200, "s", [0, 60, 120, 180]),
        (3 * 2**20, "bytes", [0, 2**20, 2 * 2**20, 3 * 2**20]),
        (2.2, "short", [0, 1, 2]),
    ],
)
def test_axes_are_marked_at_round_values(top, unit, marks):
    assert units.ticks(top, unit) == pytest.approx(marks)


def test_a_legend_takes_labels():
    series = Series(LABELS, (0,), (1,))
    assert Answer("A", "", "{{namespace}}/{{queue}} {{nothing}}", []).name(series) == (
        "prod/documents "
    )


def test_variables_stand_for_everything_and_the_time_shown():
    assert Span(0, 21_600, 15).filled('x{queue=~"$queue"}[$__rate_interval]') == (
        'x{queue=~".*"}[195s]'
    )
    assert Span(0, 600, 5).filled("x[$__range] y[$__rate_interval]") == "x[600s] y[20s]"
