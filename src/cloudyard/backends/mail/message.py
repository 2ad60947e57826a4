"""A mail as an Internet message (RFC 5322)."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from cloudyard.domains.identity import Mail

# Bodies are short lines of ASCII: sent as they are, so that a link can be read in the raw message too.
POLICY = SMTP.clone(cte_type="7bit", max_line_length=500)


def internet_message(mail: Mail, sender: str) -> EmailMessage:
    """The message; its id stays the same when the mail is sent again, so that a receiver can tell."""
    name, address = parseaddr(sender)
    domain = address.rpartition("@")[2]
    message = EmailMessage(policy=POLICY)
    message["Message-ID"] = f"<{mail.id}.{mail.created_at:%Y%m%d%H%M%S}@{domain}>"
    message["Date"] = format_datetime(mail.created_at)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices, please
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message
