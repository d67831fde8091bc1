import pytest
from pydantic import ValidationError

from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.errors import CatalogueError, UnknownQueue
from laneway.tasks.queues import PACKAGED_FILE, cached_catalogue, load_catalogue

pytestmark = pytest.mark.unit


@pytest.fixture
def load(tmp_path):
    """Load a catalogue from YAML text."""

    def loaded(text):
        file = tmp_path / "queues.yaml"
        file.write_text(text)
        return load_catalogue(file)

    return loaded


def test_the_packaged_catalogue_has_three_lanes_and_a_home_for_every_task():
    catalogue = load_catalogue()
    assert list(catalogue) == ["high-priority", "documents", "notifications"]
    assert catalogue.source == str(PACKAGED_FILE)
    for name, builtin in BUILTIN_TASKS.items():
        lane = catalogue[builtin.queue]
        assert lane.admits(name)
        assert builtin.time_limit_s <= lane.time_limit


def test_fields_have_the_promised_defaults(load):
    lane = load("queues: {a: {}}")["a"]
    assert lane.lease_seconds == 60
    assert lane.max_deliveries == 5
    assert lane.prefetch == 0
    assert lane.pool == "prefork"


def test_a_lane_without_fields_is_a_lane_of_defaults(load):
    assert load("queues: {a: }") == load("queues: {a: {}}")


def test_a_lane_is_merged_over_the_defaults_and_so_are_its_nested_fields(load):
    catalogue = load(
        """
        queueDefaults:
          concurrency: 3
          waitTarget: 9
          autoscaling: {minReplicas: 2, maxReplicas: 20}
          tasks: ["a.*", "b.*"]
        queues:
          plain:
          own:
            concurrency: 7
            autoscaling: {maxReplicas: 5}
            tasks: ["c.*"]
        """
    )
    plain, own = catalogue["plain"], catalogue["own"]
    assert (plain.concurrency, plain.wait_target, plain.autoscaling.max_replicas) == (3, 9, 20)
    assert (own.concurrency, own.wait_target) == (7, 9)
    assert (own.autoscaling.min_replicas, own.autoscaling.max_replicas) == (2, 5)
    assert own.tasks == ("c.*",)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("queues: {a: {concurency: 1}}", ["queues.a.concurency", "Known: concurrency"]),
        ("queueDefaults: {concurency: 1}\nqueues: {a: {}}", ["concurency", "Known: "]),
        ("queues: {a: {autoscaling: {min: 1}}}", ["queues.a.autoscaling.min", "no known field"]),
        ("queue: {}\nqueues: {a: {}}", ["queue is no known field", "queueDefaults, queues"]),
    ],
)
def test_an_unknown_field_is_named_with_those_that_are_known(load, text, parts):
    with pytest.raises(CatalogueError) as error:
        load(text)
    assert all(part in str(error.value) for part in ["queues.yaml", *parts])


@pytest.mark.parametrize("field", ["soft_time_limit", "wait_target", "SoftTimeLimit"])
def test_fields_are_spelled_in_camel_case_alone(load, field):
    with pytest.raises(CatalogueError, match=rf"queues\.a\.{field} is no known field"):
        load(f"queues: {{a: {{{field}: 30}}}}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("concurrency", "0"),
        ("concurrency", "513"),
        ("concurrency", "lots"),
        ("concurrency", "1.5"),
        ("pool", "gevent"),
        ("prefetch", "-1"),
        ("softTimeLimit", "0"),
        ("timeLimit", "0"),
        ("leaseSeconds", "4"),
        ("maxDeliveries", "0"),
        ("maxLength", "0"),
        ("waitTarget", "0"),
        ("drainSeconds", "-1"),
        ("deadLetterRetention", "{seconds: 59}"),
        ("deadLetterRetention", "{count: 0}"),
        ("autoscaling", "{maxReplicas: 0}"),
        ("autoscaling", "{minReplicas: -1}"),
        ("tasks", "documents"),
    ],
)
def test_a_value_out_of_bounds_is_named_with_its_lane_and_field(load, field, value):
    with pytest.raises(CatalogueError, match=rf"queues\.a\.{field}.* is .*Correct it"):
        load(f"queues: {{a: {{{field}: {value}}}}}")


@pytest.mark.parametrize("soft_s", [60, 61])
def test_a_soft_limit_that_never_warns_is_refused_with_both_values_and_the_cure(load, soft_s):
    with pytest.raises(CatalogueError) as error:
        load(f"queues: {{a: {{softTimeLimit: {soft_s}, timeLimit: 60}}}}")
    message = str(error.value)
    assert f"queues.a.softTimeLimit is {soft_s} s" in message
    assert "queues.a.timeLimit of 60 s" in message
    assert "at most 59" in message


def test_bounds_of_the_scaler_that_cross_are_refused(load):
    with pytest.raises(CatalogueError, match=r"minReplicas is 3, above maxReplicas of 2"):
        load("queues: {a: {autoscaling: {minReplicas: 3, maxReplicas: 2}}}")


@pytest.mark.parametrize(
    "name", ["Documents", "a_b", "-a", "a-", "a.b", "a b", "ü", "a" * 49, '""']
)
def test_a_name_that_is_no_dns_label_is_refused(load, name):
    with pytest.raises(CatalogueError, match="queues"):
        load(f"queues: {{{name}: {{}}}}")


def test_a_name_of_48_characters_is_a_name(load):
    assert list(load(f"queues: {{{'a' * 48}: {{}}}}")) == ["a" * 48]


@pytest.mark.parametrize(
    "text", ["", "- a", "a", "queues: {}", "queues: [a]", "queueDefaults: {}", "queues: {a: 5}"]
)
def test_a_file_of_another_shape_is_refused(load, text):
    with pytest.raises(CatalogueError, match=r"queues\.yaml"):
        load(text)


def test_a_file_that_is_not_yaml_is_refused_with_its_place(load):
    with pytest.raises(CatalogueError, match=r"(?s)queues\.yaml: is not YAML.*line 1"):
        load("queues: [")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "queues.yaml"
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(CatalogueError, match="is not YAML"):
        load_catalogue(file)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_refused_with_the_cure(tmp_path, kind):
    path = tmp_path / "absent.yaml" if kind == "missing" else tmp_path
    with pytest.raises(CatalogueError, match="LANEWAY_QUEUES_FILE"):
        load_catalogue(path)


def test_asking_for_an_unknown_lane_lists_the_known_and_where_to_add_one(load):
    catalogue = load("queues: {a: {}, b: {}}")
    with pytest.raises(UnknownQueue, match=r"'c'.*a, b.*queues\.yaml"):
        catalogue["c"]
    assert "c" not in catalogue
    assert None not in catalogue
    assert len(catalogue) == 2


def test_a_lane_admits_the_tasks_it_names_by_pattern(load):
    lane = load('queues: {a: {tasks: ["documents.*", "team.report"]}}')["a"]
    assert lane.admits("documents.process")
    assert lane.admits("team.report")
    assert not lane.admits("team.report2")
    assert not lane.admits("notifications.send_email")


def test_a_lane_that_names_no_task_admits_what_its_time_limit_allows(load):
    lane = load("queues: {a: {timeLimit: 60, softTimeLimit: 50}}")["a"]
    assert lane.admits("notifications.send_email")
    assert lane.admits("team.report")
    assert not lane.admits("documents.process")


def test_a_stop_waits_as_long_as_a_task_may_run_unless_told_otherwise(load):
    catalogue = load("queues: {a: {timeLimit: 700}, b: {drainSeconds: 0}}")
    assert catalogue["a"].drain_limit_s == 700
    assert catalogue["b"].drain_limit_s == 0


def test_a_lane_cannot_be_changed(load):
    with pytest.raises(ValidationError):
        load("queues: {a: {}}")["a"].concurrency = 5


def test_a_file_is_read_once_a_process(tmp_path):
    file = tmp_path / "queues.yaml"
    file.write_text("queues: {a: {}}")
    assert cached_catalogue(file) is cached_catalogue(file)
