"""What identity refuses, and why."""

from cloudyard.foundation.errors import DomainError, ErrorKind, FeatureUnavailable


class InvalidCredentials(DomainError):
    """Login or password is wrong; which of the two is not told."""

    code = "invalid_credentials"
    kind = ErrorKind.UNAUTHENTICATED


class InvalidToken(DomainError):
    """A token or key is malformed, forged, revoked, or of a session that has ended."""

    code = "invalid_token"
    kind = ErrorKind.UNAUTHENTICATED


class TokenExpired(InvalidToken):
    """A token or key is past its time."""

    code = "token_expired"


class RefreshTokenReused(InvalidToken):
    """A refresh token came a second time, so its session was ended."""

    code = "refresh_token_reused"


class AccountSuspended(DomainError):
    """The account is suspended."""

    code = "account_suspended"
    kind = ErrorKind.FORBIDDEN


class EmailNotVerified(DomainError):
    """This installation wants a verified e-mail address before login."""

    code = "email_not_verified"
    kind = ErrorKind.FORBIDDEN


class EmailTaken(DomainError):
    """Another account has the e-mail address."""

    code = "email_taken"
    kind = ErrorKind.CONFLICT


class UsernameTaken(DomainError):
    """Another account has the username."""

    code = "username_taken"
    kind = ErrorKind.CONFLICT


class WeakPassword(DomainError):
    """A new password breaks a rule; the message says which."""

    code = "weak_password"
    kind = ErrorKind.INVALID


class InvalidEmail(DomainError):
    """Not an e-mail address that mail can be sent to."""

    code = "invalid_email"
    kind = ErrorKind.INVALID


class InvalidProfile(DomainError):
    """A field of a profile cannot be accepted; `field` names it."""

    code = "invalid_profile"
    kind = ErrorKind.INVALID


class RoleNotAllowed(DomainError):
    """The role cannot be chosen at registration."""

    code = "role_not_allowed"
    kind = ErrorKind.INVALID


class UserNotFound(DomainError):
    """No such user."""

    code = "user_not_found"
    kind = ErrorKind.NOT_FOUND


class LastAdmin(DomainError):
    """The only active administrator cannot be demoted or suspended."""

    code = "last_admin"
    kind = ErrorKind.CONFLICT


class ApiKeyNotFound(DomainError):
    """The user has no such API key."""

    code = "api_key_not_found"
    kind = ErrorKind.NOT_FOUND


class InvalidApiKey(DomainError):
    """A wanted API key has a property that cannot be accepted; `field` names it."""

    code = "invalid_api_key"
    kind = ErrorKind.INVALID


class TooManyApiKeys(DomainError):
    """The user has as many live API keys as one may have."""

    code = "too_many_api_keys"
    kind = ErrorKind.CONFLICT


class ScopeMissing(DomainError):
    """The credential has not the right that the act needs."""

    code = "scope_missing"
    kind = ErrorKind.FORBIDDEN


class ModelNotAllowed(DomainError):
    """The API key is limited to other models."""

    code = "model_not_allowed"
    kind = ErrorKind.FORBIDDEN


class InvalidLink(DomainError):
    """A verification or reset token is unknown, used, or past its time."""

    code = "invalid_link"
    kind = ErrorKind.INVALID


class WrongPassword(DomainError):
    """The current password given with a change of password is wrong."""

    code = "wrong_password"
    kind = ErrorKind.INVALID


class MailRefused(DomainError):
    """The mail server refuses this mail for good; sending it again is useless."""

    code = "mail_refused"
    kind = ErrorKind.UPSTREAM


class MailNotConfigured(FeatureUnavailable):
    """The act needs a mail, and this installation sends none."""

    code = "mail_not_configured"


class MailUnavailable(DomainError):
    """The mail server cannot be used at the moment; the mail is sent later."""

    code = "mail_unavailable"
    kind = ErrorKind.UNAVAILABLE


class MailUncertain(MailUnavailable):
    """The mail server fell silent after it was given the mail, which may have been sent or not."""

    code = "mail_uncertain"
