import asyncio
from types import SimpleNamespace

import pytest

from laneway.services.local.smtp_sink import MailFolder, main

pytestmark = pytest.mark.unit

CONTENT = b"Subject: Indexed\r\n\r\nDone.\r\n"


def envelope(*recipients):
    return SimpleNamespace(mail_from="a@example.org", rcpt_tos=list(recipients), content=CONTENT)


def answer(folder, *recipients):
    return asyncio.run(folder.handle_DATA(None, None, envelope(*recipients)))


def test_a_mail_is_kept_with_its_envelope_above_its_headers(tmp_path):
    folder = MailFolder(tmp_path / "mails")
    assert answer(folder, "b@example.org", "c@example.org").startswith("250")
    [file] = folder.folder.iterdir()
    assert file.suffix == ".eml"
    assert file.read_bytes() == (
        b"Return-Path: <a@example.org>\r\n"
        b"Delivered-To: b@example.org\r\nDelivered-To: c@example.org\r\n" + CONTENT
    )


def test_mails_never_overwrite_each_other_and_sort_as_they_came(tmp_path):
    folder = MailFolder(tmp_path)
    kept = [folder.keep("a@example.org", [f"{n}@example.org"], CONTENT) for n in range(20)]
    assert sorted(tmp_path.iterdir()) == kept


def test_a_folder_that_cannot_be_written_asks_the_client_to_come_again(tmp_path):
    folder = MailFolder(tmp_path / "mails")
    folder.folder.rmdir()
    assert answer(folder, "b@example.org").startswith("452")


def test_a_folder_that_cannot_be_made_is_said_with_the_cure(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--folder", str(tmp_path / "file")]) == 1
    assert "--folder" in capsys.readouterr().err


@pytest.mark.parametrize("bind", ["2525", ":2525", "127.0.0.1:smtp"])
def test_a_bind_that_is_no_endpoint_is_refused(tmp_path, capsys, bind):
    with pytest.raises(SystemExit):
        main(["--bind", bind, "--folder", str(tmp_path)])
    assert "HOST:PORT" in capsys.readouterr().err


def test_only_the_last_mails_are_kept_if_it_is_told_so(tmp_path):
    folder = MailFolder(tmp_path, most=2)
    kept = [folder.keep("a@x", ["b@x"], b"Subject: %d\r\n\r\n" % number) for number in range(4)]
    assert sorted(tmp_path.glob("*.eml")) == kept[-2:]
