"""`laneway top` without a network: widths, marks, the document, what it refuses."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lane_metrics import attempts, gauges, sample, waits
from laneway.observability import catalogue
from laneway.services.cli import top_sources
from laneway.services.cli.main import app
from laneway.services.cli.painter import Painter
from laneway.services.cli.top_live import live_lines
from laneway.services.cli.top_sources import Endpoints, NothingRead, Prometheus
from laneway.services.cli.top_text import document, tell, text_lines
from laneway.services.local.endpoints import forget_endpoints, read_endpoints, write_endpoints
from laneway.tasks.settings import current_settings
from screen import Screen

pytestmark = pytest.mark.unit

LANES = ("high-priority", "documents", "notifications", "reports", "a-lane-with-a-very-long-name")
ORDER = LANES[:3]


@pytest.fixture(autouse=True)
def _settings():
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()


class Fleet:
    """A worker for each lane, whose pages say what a test wants; and a clock."""

    def __init__(self, monkeypatch, *lanes):
        self.pages = dict.fromkeys(lanes, "")
        self.now_s = 1_000.0
        monkeypatch.setattr(top_sources.time, "monotonic", lambda: self.now_s)
        self.source = Endpoints(
            lambda: {f"worker-{lane}": lane for lane in self.pages},
            "a fleet",
            15.0,
            "Cure.",
            self.fetch,
        )

    def fetch(self, url):
        if self.pages[url] is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return self.pages[url]

    def read(self, after_s=2.0):
        self.now_s += after_s
        return tell(self.source.read(), ORDER)


@pytest.fixture
def fleet(monkeypatch):
    made = Fleet(monkeypatch, *LANES)
    busy(made, random.Random(1))
    return made


def busy(fleet, chance, done=0):
    """Pages with figures of all sizes."""
    for lane in fleet.pages:
        fleet.pages[lane] = (
            gauges(
                lane,
                ready=chance.choice([0, 7, 1_234, 250_000]),
                flight=chance.randrange(200),
                delayed=chance.randrange(3_000),
                busy=chance.randrange(100),
                idle=chance.randrange(100),
                dead=chance.randrange(20_000),
                oldest_s=chance.choice([0, 0.3, 184, 400_000]),
            )
            + attempts(lane, success=done + chance.randrange(50_000), failure=chance.randrange(900))
            + waits(lane, [chance.random() * 100 for _ in range(20)])
        )


def texts(lines):
    return [line.text for line in lines]


@pytest.mark.parametrize("width", [1, 20, 40, 60, 79, 80, 100, 160, 400])
def test_a_frame_fits_its_width(fleet, width):
    first, second = fleet.read(), fleet.read()
    for told in (first, second):
        lines = texts(text_lines(told, width))
        assert max(map(len, lines)) <= width
        assert len(lines) >= len(LANES) + 4
        assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("rows", [1, 4, 8, 12, 24, 60])
def test_a_live_frame_leaves_the_last_column_and_line_free(fleet, rows):
    fleet.pages["reports"] = None
    for silence in ("", "nobody answers"):
        lines = texts(live_lines(fleet.read(), 80, rows, silence))
        assert len(lines) <= max(1, rows - 1)
        assert max(map(len, lines)) <= 79


def test_80_columns_have_all_that_is_asked_for_and_more_have_outcomes(monkeypatch):
    fleet = Fleet(monkeypatch, *ORDER)
    for lane in ORDER:
        fleet.pages[lane] = gauges(lane)
    fleet.read()
    told = fleet.read()
    narrow = texts(live_lines(told, 80, 24))[1].split()
    assert " ".join(narrow) == "lane ready flight later oldest p95 in/s done/s fail dead wkr slots"
    wide = texts(live_lines(told, 160, 24))[1].split()
    assert set(wide) - set(narrow) == {"retry/s", "error/s", "killed/s", "dropped/s"}
    assert texts(text_lines(told, 40))[1].split() == ["lane", "ready", "oldest", "done/s"]


def test_lanes_stand_in_the_order_of_the_catalogue_then_by_name_then_the_total(fleet):
    lines = texts(text_lines(fleet.read(), 200))
    names = [line[2:].split()[0] for line in lines[2 : 3 + len(LANES)]]
    assert names == [*ORDER, "a-lane-with-a-very-long-name", "reports", "total"]


def test_trouble_is_told_by_a_mark_and_by_words(monkeypatch):
    fleet = Fleet(monkeypatch, "documents", "mail")
    fleet.pages["documents"] = gauges("documents", ready=3, workers=0, oldest_s=60, busy=0)
    fleet.pages["mail"] = gauges("mail")
    lines = texts(text_lines(fleet.read(), 80))
    assert lines[2].startswith("! documents ")
    assert lines[3].startswith("  mail ")
    assert lines[-1] == "! documents: no worker, late (to start within 5.0s)"


def test_a_worker_that_is_silent_is_one_line_and_its_lane_stays(monkeypatch):
    fleet = Fleet(monkeypatch, "documents", "mail")
    fleet.pages["documents"], fleet.pages["mail"] = None, gauges("mail")
    told = fleet.read()
    lines = texts(text_lines(told, 80))
    assert lines[2].startswith("! documents ")
    assert [line for line in lines if "refused" in line] == [
        "! worker-documents does not answer: Connection refused"
    ]
    assert document(told)["unread"] == [
        {"endpoint": "worker-documents", "reason": "Connection refused"}
    ]


def test_what_is_no_metrics_page_is_told_as_such(monkeypatch):
    fleet = Fleet(monkeypatch, "documents", "mail")
    fleet.pages["documents"] = "laneway_queue_depth who knows\n"
    fleet.pages["mail"] = gauges("mail")
    assert fleet.read().frame.unread == {"worker-documents": "not what was expected (ValueError)"}


def test_if_nobody_answers_the_message_says_the_cure(monkeypatch):
    fleet = Fleet(monkeypatch, "documents", "mail")
    fleet.pages = dict.fromkeys(fleet.pages)
    with pytest.raises(
        NothingRead, match=r"worker-documents does not answer: Connection refused.*Cure"
    ):
        fleet.read()


def test_many_lanes_on_a_low_terminal_keep_those_in_trouble(monkeypatch):
    lanes = [f"lane-{number:02}" for number in range(40)]
    fleet = Fleet(monkeypatch, *lanes)
    for lane in lanes:
        fleet.pages[lane] = gauges(lane, ready=1, workers=0 if lane == "lane-33" else 1)
    lines = texts(live_lines(fleet.read(), 80, 24))
    assert any(line.startswith("! lane-33") for line in lines)
    assert "more lanes have no room here" in "\n".join(lines)
    assert len(lines) == 23


def test_the_first_frame_says_that_it_is_since_start_and_the_next_over_how_long(monkeypatch):
    fleet = Fleet(monkeypatch, "documents")
    fleet.pages["documents"] = gauges("documents") + attempts("documents", success=900, failure=100)
    first = fleet.read()
    assert "since start" in texts(text_lines(first, 80))[0]
    assert "ended since start:  ok 900" in texts(text_lines(first, 80))[-2]
    fleet.pages["documents"] = gauges("documents") + attempts("documents", success=920, failure=110)
    second = fleet.read()
    assert "rates over 2.0s" in texts(text_lines(second, 80))[0]
    assert second.total.ended_per_s == {"ok": 10, "retry": 0, "error": 5, "killed": 0, "dropped": 0}


def test_rates_are_over_the_window_and_no_longer(monkeypatch):
    fleet = Fleet(monkeypatch, "documents")
    for done in (*[0] * 10, 150, *[300] * 20):
        fleet.pages["documents"] = gauges("documents") + attempts("documents", success=done)
        told = fleet.read()
    assert told.frame.picture.window_s == pytest.approx(16)
    assert told.total.ended_per_s["ok"] == 0


def test_a_worker_that_began_anew_makes_no_negative_rates(monkeypatch):
    fleet = Fleet(monkeypatch, "documents")
    for done in (1_000, 1_010, 4):
        fleet.pages["documents"] = gauges("documents") + attempts("documents", success=done)
        told = fleet.read()
    assert told.total.ended_per_s["ok"] == pytest.approx((10 + 4) / 4)


def test_what_a_stranger_wrote_does_not_steer_the_terminal(monkeypatch):
    fleet = Fleet(monkeypatch, "documents")
    fleet.pages["documents"] = sample(catalogue.QUEUE_DEPTH, 1, queue="\x1b[2Jevil", priority="0")
    lines = texts(text_lines(fleet.read(), 80))
    assert any("?[2Jevil" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_five_lanes_cost_a_slow_link_less_than_4_kb_at_first_and_2_kb_a_frame(fleet):
    screen, chance, sizes = Screen(), random.Random(7), []
    painter = Painter(screen.write)
    for frame in range(30):
        busy(fleet, chance, done=frame * 1_000)
        before = screen.bytes
        lines = live_lines(fleet.read(), 80, 24)
        painter.paint(lines, (80, 24))
        sizes.append(screen.bytes - before)
        assert screen.text() == [line.text.rstrip() for line in lines]
    assert sizes[0] < 4_000
    assert max(sizes[1:]) < 2_000, "although every figure changed"


def test_a_calm_platform_costs_a_slow_link_next_to_nothing(fleet):
    sent = []
    painter = Painter(sent.append)
    for _ in range(12):
        painter.paint(live_lines(fleet.read(), 80, 24), (80, 24))
    assert max(len(text) for text in sent[2:]) < 300


def keys_of_the_page():
    page = (Path(__file__).parents[4] / "docs" / "top.md").read_text()
    return set(re.findall(r"^\| `([a-z0-9_]+)` \|", page, re.MULTILINE))


def test_every_key_of_the_document_is_on_its_page_and_no_other(fleet):
    fleet.read()
    told = document(fleet.read())
    assert json.loads(json.dumps(told)) == told
    assert keys_of_the_page() == {*told, *told["total"]}
    assert all(lane.keys() == told["total"].keys() for lane in told["lanes"])


def test_the_document_tells_what_is_not_known_as_null(monkeypatch):
    fleet = Fleet(monkeypatch, "documents")
    fleet.pages["documents"] = gauges("documents", ready=2)
    told = document(fleet.read())
    assert (told["version"], told["window_s"], told["broker_up_ratio"]) == (1, None, 1.0)
    (lane,) = told["lanes"]
    assert (lane["lane"], lane["ready"], lane["wait_p95_s"], lane["ended_per_s"]) == (
        *("documents", 2, None, None),
    )


def test_prometheus_that_knows_no_lanes_or_refuses_is_told_with_a_cure():
    empty = {"data": {"result": []}}
    with pytest.raises(NothingRead, match="http://prometheus:9090 knows no lanes"):
        Prometheus("http://me:secret@prometheus:9090", 120, ask=lambda _url, _query: empty).read()

    def refuse(_url, _query):
        raise OSError("HTTP 400, parse error")

    with pytest.raises(NothingRead, match=r"HTTP 400, parse error\. Check the URL") as refused:
        Prometheus("http://me:secret@prometheus:9090", 120, ask=refuse).read()
    assert "secret" not in str(refused.value)


def test_a_frame_of_prometheus_needs_no_second_one():
    depth = {"part": "laneway_queue_depth", "queue": "documents"}
    answer = {"data": {"result": [{"metric": depth, "value": [0, "3"]}]}}
    frame = Prometheus("http://prometheus:9090", 120, ask=lambda _url, _query: answer).read()
    lines = texts(text_lines(tell(replace(frame, at_s=0.0), ORDER), 80))
    assert lines[0].startswith("laneway top 00:00:00Z  http://prometheus:9090  broker unknown")
    assert lines[0].endswith("rates over 2m00s")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "nowhere"), "Connection refused|does not answer"),
        (("--target", "1.2.3.4:port"), "no HOST:PORT"),
        (("--target", "file:///etc/passwd"), "no HOST:PORT"),
        (("--prometheus", "prometheus:9090"), r"no http\(s\)://HOST:PORT"),
        (("--prometheus", "http://p", "--target", "h:1"), "one place to read"),
        (("--match", 'a="b"'), "Prometheus' series"),
    ],
)
def test_what_cannot_be_read_ends_with_a_message(words, message, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(top_sources, "fetch_metrics", lambda _url: (_ for _ in ()).throw(OSError()))
    done = CliRunner().invoke(app, ["top", "--once", *words])
    assert done.exit_code in (1, 2)
    assert re.search(message, done.output + str(done.exception))


def test_without_a_platform_it_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["top", "--once", "--json"])
    assert done.exit_code == 1
    assert isinstance(done.exception, NothingRead)
    assert "platform in .laneway" in str(done.exception)
    assert "make run" in str(done.exception)


def test_the_prometheus_of_the_settings_is_asked(tmp_path, monkeypatch):
    asked = []

    def ask(url, _query):
        asked.append(url)
        return {"data": {"result": []}}

    monkeypatch.setattr(top_sources, "ask_prometheus", ask)
    monkeypatch.setenv("LANEWAY_PROMETHEUS_URL", "http://prometheus:9090/base")
    CliRunner().invoke(app, ["top", "--once"])
    assert asked == ["http://prometheus:9090/base"]
    CliRunner().invoke(app, ["top", "--once", "--data", str(tmp_path)])
    assert len(asked) == 1, "a folder that is given goes first"


def test_a_platform_keeps_its_endpoints_until_it_ends(tmp_path):
    write_endpoints(tmp_path, {"worker-documents": "http://127.0.0.1:1/metrics"})
    assert read_endpoints(tmp_path) == {"worker-documents": "http://127.0.0.1:1/metrics"}
    forget_endpoints(tmp_path)
    assert read_endpoints(tmp_path) == {}
    (tmp_path / "endpoints.json").write_text("[half")
    assert read_endpoints(tmp_path) == {}
