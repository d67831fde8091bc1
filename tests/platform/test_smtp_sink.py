import json
import signal
import smtplib
import subprocess
import sys
from email import message_from_bytes
from email.policy import SMTP

import pytest

from laneway.tasks.notifications.mail import send_mail
from laneway.tasks.settings import load_settings

pytestmark = pytest.mark.platform

COMMAND = [sys.executable, "-W", "error", "-m", "laneway.services.local.smtp_sink"]


@pytest.fixture
def sink(tmp_path):
    command = [*COMMAND, "--bind", "127.0.0.1:0", "--folder", str(tmp_path / "mails")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        process.port = int(json.loads(process.stdout.readline())["smtp"].rpartition(":")[2])
        yield process
        process.kill()


def test_a_mail_of_the_task_lies_in_the_folder(sink, tmp_path):
    settings = load_settings(smtp_port=sink.port, smtp_security="none")
    assert send_mail(settings, "id-1", "bob@example.org", "Fertig: 東京", ".\nGrüße\n") == "sent"
    [file] = (tmp_path / "mails").iterdir()
    message = message_from_bytes(file.read_bytes(), policy=SMTP)
    assert message["Delivered-To"] == "bob@example.org"
    assert message["Message-ID"] == "<id-1@localhost>"
    assert message["Subject"] == "Fertig: 東京"
    assert message.get_content() == ".\r\nGrüße\r\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_word_although_clients_are_connected(sink, number):
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        client.ehlo()
        sink.send_signal(number)
        assert sink.wait(30) == 0
        assert sink.stderr.read() == b""


def test_a_port_in_use_is_said_with_the_cure(sink, tmp_path):
    command = [*COMMAND, "--bind", f"127.0.0.1:{sink.port}", "--folder", str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "--bind" in second.stderr
