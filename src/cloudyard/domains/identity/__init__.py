"""Identity: users, sessions, API keys, the ways back into an account, and who may do what."""

from cloudyard.domains.identity.account_mail import EMAIL_CHANGED, PASSWORD_CHANGED, AccountMail, Link
from cloudyard.domains.identity.activity import Activity
from cloudyard.domains.identity.api_keys import ApiKeys
from cloudyard.domains.identity.credential_cache import CredentialCache
from cloudyard.domains.identity.errors import (
    AccountSuspended,
    ApiKeyNotFound,
    EmailNotVerified,
    EmailTaken,
    InvalidApiKey,
    InvalidCredentials,
    InvalidEmail,
    InvalidLink,
    InvalidProfile,
    InvalidToken,
    LastAdmin,
    MailNotConfigured,
    MailRefused,
    MailUnavailable,
    MailUncertain,
    ModelNotAllowed,
    RefreshTokenReused,
    RoleNotAllowed,
    ScopeMissing,
    TokenExpired,
    TooManyApiKeys,
    UsernameTaken,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from cloudyard.domains.identity.forgetting import SharedForgetting
from cloudyard.domains.identity.jobs import Cleanup, MailConsumer
from cloudyard.domains.identity.key_rights import check_key_rights
from cloudyard.domains.identity.passwords import Passwords, require_mixed_characters
from cloudyard.domains.identity.ports import Mail, Mailer
from cloudyard.domains.identity.profile import ProfileChanges
from cloudyard.domains.identity.records import ApiKey, Principal, Role, Scope, TokenPair, User, UserOrder, UserStatus
from cloudyard.domains.identity.recovery import Recovery
from cloudyard.domains.identity.sessions import Sessions
from cloudyard.domains.identity.signing_keys import SigningKeys
from cloudyard.domains.identity.tokens import Tokens
from cloudyard.domains.identity.users import USER_CREATED, USER_UPDATED, Users

__all__ = [
    "EMAIL_CHANGED",
    "PASSWORD_CHANGED",
    "USER_CREATED",
    "USER_UPDATED",
    "AccountMail",
    "AccountSuspended",
    "Activity",
    "ApiKey",
    "ApiKeyNotFound",
    "ApiKeys",
    "Cleanup",
    "CredentialCache",
    "EmailNotVerified",
    "EmailTaken",
    "InvalidApiKey",
    "InvalidCredentials",
    "InvalidEmail",
    "InvalidLink",
    "InvalidProfile",
    "InvalidToken",
    "LastAdmin",
    "Link",
    "Mail",
    "MailConsumer",
    "MailNotConfigured",
    "MailRefused",
    "MailUnavailable",
    "MailUncertain",
    "Mailer",
    "ModelNotAllowed",
    "Passwords",
    "Principal",
    "ProfileChanges",
    "Recovery",
    "RefreshTokenReused",
    "Role",
    "RoleNotAllowed",
    "Scope",
    "ScopeMissing",
    "Sessions",
    "SharedForgetting",
    "SigningKeys",
    "TokenExpired",
    "TokenPair",
    "Tokens",
    "TooManyApiKeys",
    "User",
    "UserNotFound",
    "UserOrder",
    "UserStatus",
    "UsernameTaken",
    "Users",
    "WeakPassword",
    "WrongPassword",
    "check_key_rights",
    "require_mixed_characters",
]
