"""Mail into files and through a real SMTP server."""

import asyncio
import ssl
import stat
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from cloudyard.backends.mail import open_mailer
from cloudyard.backends.mail.file_outbox import FileMailer
from cloudyard.backends.mail.smtp import SmtpMailer
from cloudyard.domains.identity import Mail, MailRefused, MailUnavailable, MailUncertain
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.settings.mail import MailBackend, MailSettings
from cloudyard.testing.free_ports import free_port
from cloudyard.testing.mail_server import MailServer, mail_server

SENDER = "Cloudyard <noreply@cloud.example>"
LINK = "http://127.0.0.1:8000/reset-password?token=" + "Ab-_" * 11
MAIL = Mail(
    id="000000000042",
    to="ada@example.com",
    subject="Choose a new password",
    text=f"Open this link:\n\n{LINK}\n",
    html=f'<!doctype html>\n<p><a href="{LINK}">{LINK}</a></p>\n',
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


class Inbox:
    """What the server received, and how it answers."""

    def __init__(self) -> None:
        self.received: list[Envelope] = []
        self.recipient_answer = "250 OK"
        self.data_answer = "250 OK"
        self.data_seconds = 0.0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data_answer.startswith("250"):
            self.received.append(envelope)
        await asyncio.sleep(self.data_seconds)
        return self.data_answer


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def server(inbox: Inbox) -> Iterator[MailServer]:
    with mail_server(inbox) as running:
        yield running


def _settings(port: int, **more: object) -> MailSettings:
    base = {"backend": "smtp", "sender": SENDER, "smtp_port": port, "smtp_tls": "none", "timeout_seconds": 5}
    return MailSettings.model_validate(base | more)


def _check(content: bytes) -> None:
    message = message_from_bytes(content, policy=policy.default)
    assert (message["From"], message["To"], message["Subject"]) == (SENDER, MAIL.to, MAIL.subject)
    assert message["Date"].datetime == MAIL.created_at
    assert message["Message-ID"] == "<000000000042.20260102030405@cloud.example>"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().replace("\r\n", "\n") == MAIL.html
    assert content.count(LINK.encode()) == 3, "the link can be read in the raw message"


async def test_a_mail_becomes_one_private_file(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mail"
    mailer = FileMailer(folder, sender=SENDER)
    await mailer.send(MAIL)
    await mailer.send(MAIL)
    (file,) = folder.iterdir()
    assert file.name == "20260102T030405Z-000000000042.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    _check(file.read_bytes())


async def test_a_folder_that_cannot_be_written_is_a_passing_failure(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file stands in the way")
    with pytest.raises(MailUnavailable, match="tried again"):
        await FileMailer(tmp_path / "mail", sender=SENDER).send(MAIL)


async def test_a_mail_arrives_by_smtp(server: MailServer, inbox: Inbox) -> None:
    await SmtpMailer(_settings(server.port)).send(MAIL)
    (envelope,) = inbox.received
    assert (envelope.mail_from, envelope.rcpt_tos) == ("noreply@cloud.example", ["ada@example.com"])
    assert isinstance(envelope.content, bytes)
    _check(envelope.content)


async def test_parallel_mails_all_arrive(server: MailServer, inbox: Inbox) -> None:
    mailer = SmtpMailer(_settings(server.port))
    await asyncio.gather(*(mailer.send(MAIL) for _ in range(10)))
    assert len(inbox.received) == 10


@pytest.mark.parametrize("where", ["recipient_answer", "data_answer"])
@pytest.mark.parametrize(
    ("answer", "error"), [("550 no such mailbox", MailRefused), ("451 try again later", MailUnavailable)]
)
async def test_refusals_are_told_apart(
    server: MailServer, inbox: Inbox, where: str, answer: str, error: type[MailRefused]
) -> None:
    setattr(inbox, where, answer)
    with pytest.raises(error, match=answer) as caught:
        await SmtpMailer(_settings(server.port)).send(MAIL)
    assert caught.type is error
    assert f"127.0.0.1:{server.port}" in caught.value.message
    assert inbox.received == []


async def test_a_server_that_is_not_there_is_a_passing_failure() -> None:
    with pytest.raises(MailUnavailable, match="tried again"):
        await SmtpMailer(_settings(free_port())).send(MAIL)


async def test_a_server_that_says_nothing_is_given_up_after_the_timeout() -> None:
    hung_up = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    silent = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent:
        with pytest.raises(MailUnavailable, match="tried again"):
            await SmtpMailer(_settings(port, timeout_seconds=0.2)).send(MAIL)
        await hung_up.wait()


async def test_a_server_that_falls_silent_with_the_mail_in_hand_leaves_it_uncertain(
    server: MailServer, inbox: Inbox
) -> None:
    inbox.data_seconds = 1.0
    with pytest.raises(MailUncertain, match="may have been sent or not"):
        await SmtpMailer(_settings(server.port, timeout_seconds=0.3)).send(MAIL)
    assert len(inbox.received) == 1


async def test_without_the_promised_encryption_nothing_is_sent(server: MailServer, inbox: Inbox) -> None:
    for tls in ("starttls", "tls"):
        with pytest.raises(MailUnavailable, match="tried again"):
            await SmtpMailer(_settings(server.port, smtp_tls=tls, timeout_seconds=2)).send(MAIL)
    assert inbox.received == []


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure_server(inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """STARTTLS and a login are wanted; its certificate is trusted through the environment, as an operator would."""
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def authenticator(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"mailer", b"mail password")
        return AuthResult(success=right, handled=False)

    server = MailServer(
        inbox, tls_context=context, require_starttls=True, authenticator=authenticator, auth_required=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.start()
    yield server
    server.stop()


async def test_starttls_and_login(secure_server: MailServer, inbox: Inbox) -> None:
    secure = {"smtp_host": "localhost", "smtp_tls": "starttls", "smtp_user": "mailer"}
    wrong = _settings(secure_server.port, **secure, smtp_password=SecretStr("wrong"))
    with pytest.raises(MailUnavailable) as caught:
        await SmtpMailer(wrong).send(MAIL)
    assert caught.type is MailUnavailable
    assert "wrong" not in caught.value.message
    right = _settings(secure_server.port, **secure, smtp_password=SecretStr("mail password"))
    await SmtpMailer(right).send(MAIL)
    assert len(inbox.received) == 1


async def test_a_certificate_for_another_name_is_refused(secure_server: MailServer, inbox: Inbox) -> None:
    with pytest.raises(MailUnavailable, match="tried again"):
        await SmtpMailer(_settings(secure_server.port, smtp_host="127.0.0.1", smtp_tls="starttls")).send(MAIL)
    assert inbox.received == []


async def test_the_settings_choose_the_backend(server: MailServer, inbox: Inbox, tmp_path: Path) -> None:
    settings = _settings(server.port)
    await open_mailer("smtp", settings, tmp_path / "mail").send(MAIL)
    assert len(inbox.received) == 1
    await open_mailer("file", settings, tmp_path / "mail").send(MAIL)
    assert len(list((tmp_path / "mail").iterdir())) == 1
    with pytest.raises(MailUnavailable, match=r"mail\.backend"):
        await open_mailer("none", settings, tmp_path / "mail").send(MAIL)
    assert (len(inbox.received), len(list((tmp_path / "mail").iterdir()))) == (1, 1)


async def test_asking_whether_mail_can_leave_sends_none(server: MailServer, inbox: Inbox, tmp_path: Path) -> None:
    settings = _settings(server.port)
    await open_mailer("smtp", settings, tmp_path / "mail").ping()
    await open_mailer("file", settings, tmp_path / "mail").ping()
    assert (inbox.received, list((tmp_path / "mail").iterdir())) == ([], [])


async def test_mail_that_cannot_leave_says_so_when_asked(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file stands in the way")
    settings = _settings(free_port())
    reasons: dict[MailBackend, str] = {"smtp": "does not answer", "file": "cannot be written", "none": "No mail"}
    for backend, reason in reasons.items():
        with pytest.raises(MailUnavailable, match=reason):
            await open_mailer(backend, settings, tmp_path / "mail").ping()


async def test_the_promised_encryption_is_asked_for_too(server: MailServer, secure_server: MailServer) -> None:
    with pytest.raises(MailUnavailable):
        await SmtpMailer(_settings(server.port, smtp_tls="starttls")).ping()
    await SmtpMailer(_settings(secure_server.port, smtp_host="localhost", smtp_tls="starttls")).ping()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cloudyard.backends.mail.smtp")
    monkeypatch.setitem(sys.modules, "aiosmtplib", None)
    with pytest.raises(FeatureUnavailable, match=r"pip install 'cloudyard\[smtp\]'"):
        open_mailer("smtp", _settings(25), tmp_path)
