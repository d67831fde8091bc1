import pytest
from pydantic import ValidationError

from laneway.tasks.builtin import BUILTIN_TASKS, HIGH_PRIORITY_QUEUE, home_queue
from laneway.tasks.contracts import (
    DocumentsEmbed,
    DocumentsProcess,
    NotificationsSendEmail,
    RagIndexCollection,
    check_payload,
)
from laneway.tasks.errors import InvalidPayload

pytestmark = pytest.mark.unit

DOCUMENT = {"file_path": "reports/a.pdf", "user_id": "u-1"}
MAIL = {"to": "bob@example.org", "subject": "Indexed", "body": "Done."}
VALUE = "Zauberwort"


def refused(contract, payload):
    with pytest.raises(InvalidPayload) as error:
        check_payload(contract, payload)
    return str(error.value)


def test_the_names_of_the_builtin_tasks_never_change():
    assert sorted(BUILTIN_TASKS) == [
        "documents.embed",
        "documents.process",
        "notifications.send_email",
        "rag.index_collection",
    ]


def test_every_soft_limit_comes_before_its_hard_limit():
    assert all(t.soft_time_limit_s < t.time_limit_s for t in BUILTIN_TASKS.values())


def test_a_document_goes_to_its_lane_unless_its_priority_is_high():
    assert home_queue("documents.process", DOCUMENT) == "documents"
    assert home_queue("documents.process", {**DOCUMENT, "priority": "low"}) == "documents"
    high = home_queue("documents.process", {**DOCUMENT, "priority": "high"})
    assert high == HIGH_PRIORITY_QUEUE == "high-priority"
    assert home_queue("team.report", {"priority": "high"}) is None


def test_a_document_needs_a_path_and_a_user_and_has_defaults_for_the_rest():
    payload = check_payload(DocumentsProcess, DOCUMENT)
    assert dict(payload) == {**DOCUMENT, "priority": "normal", "collection": "default"}


@pytest.mark.parametrize(
    ("contract", "payload"),
    [
        (DocumentsProcess, {**DOCUMENT, "priority": "high", "collection": "a-b_1"}),
        (DocumentsProcess, {**DOCUMENT, "file_path": "s3://bucket/Jahresbericht März.pdf"}),
        (DocumentsProcess, {**DOCUMENT, "user_id": "ann.b@example.org"}),
        (DocumentsEmbed, {"texts": ["one", ""]}),
        (DocumentsEmbed, {"chunk_ids": ["0123456789abcdef"], "collection": "reports"}),
        (RagIndexCollection, {"collection": "reports"}),
        (NotificationsSendEmail, MAIL),
        (NotificationsSendEmail, {**MAIL, "subject": "Grüße 東京 🚀", "body": "a\r\nb\t\0"}),
        (NotificationsSendEmail, {**MAIL, "to": "first.last+tag@sub.example.org"}),
    ],
)
def test_a_good_payload_passes_unchanged(contract, payload):
    checked = check_payload(contract, payload)
    assert dict(checked).items() >= payload.items()


@pytest.mark.parametrize(
    ("contract", "payload", "field"),
    [
        (DocumentsProcess, {"file_path": "a.pdf"}, "user_id"),
        (DocumentsProcess, {"user_id": "u"}, "file_path"),
        (DocumentsProcess, {**DOCUMENT, "file_path": ""}, "file_path"),
        (DocumentsProcess, {**DOCUMENT, "file_path": 7}, "file_path"),
        (DocumentsProcess, {**DOCUMENT, "file_path": f"{VALUE}\n.pdf"}, "file_path"),
        (DocumentsProcess, {**DOCUMENT, "file_path": f"{VALUE}\0.pdf"}, "file_path"),
        (DocumentsProcess, {**DOCUMENT, "file_path": VALUE * 300}, "file_path"),
        (DocumentsProcess, {**DOCUMENT, "user_id": ""}, "user_id"),
        (DocumentsProcess, {**DOCUMENT, "user_id": f"../{VALUE}"}, "user_id"),
        (DocumentsProcess, {**DOCUMENT, "user_id": f"{VALUE}\n"}, "user_id"),
        (DocumentsProcess, {**DOCUMENT, "user_id": "u" * 129}, "user_id"),
        (DocumentsProcess, {**DOCUMENT, "priority": VALUE}, "priority"),
        (DocumentsProcess, {**DOCUMENT, "collection": VALUE}, "collection"),
        (DocumentsProcess, {**DOCUMENT, "collection": "../a"}, "collection"),
        (DocumentsProcess, {**DOCUMENT, "collection": "a" * 64}, "collection"),
        (DocumentsProcess, {**DOCUMENT, "colection": VALUE}, "colection"),
        (DocumentsEmbed, {}, "texts or chunk_ids"),
        (DocumentsEmbed, {"texts": [VALUE], "chunk_ids": ["0123456789abcdef"]}, "chunk_ids"),
        (DocumentsEmbed, {"texts": []}, "texts"),
        (DocumentsEmbed, {"texts": [VALUE] * 513}, "texts"),
        (DocumentsEmbed, {"texts": [VALUE, 7]}, "texts.1"),
        (DocumentsEmbed, {"chunk_ids": []}, "chunk_ids"),
        (DocumentsEmbed, {"chunk_ids": [VALUE]}, "chunk_ids.0"),
        (RagIndexCollection, {}, "collection"),
        (RagIndexCollection, {"collection": None}, "collection"),
        (NotificationsSendEmail, {**MAIL, "to": VALUE}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": ""}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": f"{VALUE}@"}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": f"{VALUE}@a.org, b@a.org"}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": f"{VALUE} <a@a.org>"}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": f"{VALUE}@bücher.example"}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": f"{VALUE}@a.org\r\nBcc: b@a.org"}, "to"),
        (NotificationsSendEmail, {**MAIL, "to": f"{VALUE}@{'a' * 320}"}, "to"),
        (NotificationsSendEmail, {**MAIL, "subject": f"{VALUE}\r\nBcc: b@a.org"}, "subject"),
        (NotificationsSendEmail, {**MAIL, "subject": f"{VALUE}\u2028x"}, "subject"),
        (NotificationsSendEmail, {**MAIL, "subject": VALUE * 91}, "subject"),
        (NotificationsSendEmail, {**MAIL, "body": "x" * 200_001}, "body"),
        (NotificationsSendEmail, {**MAIL, "body": f"{VALUE}\ud800"}, "body"),
        (NotificationsSendEmail, {**MAIL, "body": None}, "body"),
        (NotificationsSendEmail, {**MAIL, "cc": VALUE}, "cc"),
    ],
)
def test_a_bad_field_is_named_with_its_reason_and_its_value_is_not_repeated(
    contract, payload, field
):
    message = refused(contract, payload)
    assert message.startswith(contract.__name__)
    assert field in message
    assert VALUE not in message
    assert message.endswith("Correct it and submit again.")


def test_every_bad_field_is_named_at_once():
    message = refused(NotificationsSendEmail, {"to": "nobody", "subject": "a\nb"})
    assert all(f"{field}: " in message for field in ("to", "subject", "body"))


def test_the_error_has_no_cause_that_would_show_the_value():
    with pytest.raises(InvalidPayload) as error:
        check_payload(NotificationsSendEmail, {**MAIL, "to": VALUE})
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_an_invalid_payload_is_also_a_value_error():
    assert issubclass(InvalidPayload, ValueError)


def test_a_checked_payload_cannot_be_changed():
    payload = check_payload(RagIndexCollection, {"collection": "reports"})
    with pytest.raises(ValidationError):
        payload.collection = "other"
