"""One settings file, driven by the environment; a missing or unsafe setting stops the start with a sentence.

The embedded servers put their addresses into the environment before this file is read (`portal/embedded.py`).
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

VERSION = "0.1.0"
EMBEDDED = env.bool("COUNTERSIGN_EMBEDDED", default=False)
DEMO = env.bool("COUNTERSIGN_DEMO", default=False)
DEBUG = False


def required(name: str, why: str) -> str:
    value = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {why} See docs/install.md.")
    return value


def file_named(name: str) -> Path | None:
    told = env.str(name, default="")
    return Path(told) if told else None


def seed_keys(told: str) -> list[bytes]:
    try:
        keys = [bytes.fromhex(key) for key in told.split(",")]
    except ValueError:
        keys = []
    if {len(key) for key in keys} != {32}:
        raise ImproperlyConfigured("SEED_KEYS must be keys of 32 bytes in hex, newest first, with commas between them.")
    return keys


def origin_of(url: str) -> str:
    """Scheme, host and port as a browser names them. An embedded portal is `localhost` as well, which counts as a name."""
    parts = urlsplit(url)
    host = "localhost" if EMBEDDED and parts.hostname == "127.0.0.1" else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


if DEMO and not EMBEDDED:
    raise ImproperlyConfigured(
        "COUNTERSIGN_DEMO shows one-time codes on the log-in page: it runs on the embedded servers only."
    )

SECRET_KEY = required("SECRET_KEY", "sessions and links in mails are signed with it.")
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
    raise ImproperlyConfigured("SECRET_KEY is too short to be secret: give it 50 random characters or more.")
# Seeds of second factors are encrypted with the first and read with any.
SEED_KEYS = seed_keys(required("SEED_KEYS", "the seeds of second factors are encrypted with it."))
# The key that seals each signature's statement: "kms:ARN", or a PEM file, made at the first start where the servers are
# embedded.
SIGNING_KEY = env.str("SIGNING_KEY", default="")
if SIGNING_KEY and not SIGNING_KEY.startswith("kms:arn:"):
    raise ImproperlyConfigured("SIGNING_KEY names a key in AWS KMS: kms:arn:aws:kms:REGION:ACCOUNT:key/ID.")
SIGNING_KEY_FILE = Path(
    env.str("SIGNING_KEY_FILE", default="")
    if SIGNING_KEY
    else required("SIGNING_KEY_FILE", "the portal seals each signature's statement with it.")
)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "testserver"] if EMBEDDED else [])
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS is not set: name the host names that the portal answers to. See docs/install.md."
    )
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS must name hosts: links in mails are made from what a request says its host is."
    )
SITE_URL = env.str("SITE_URL", default="http://127.0.0.1:8000" if EMBEDDED else f"https://{ALLOWED_HOSTS[0]}")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "guardian",
    "simple_history",
    "django_htmx",
    "csp",
    "audit",
    "printing",
    "jobs",
    "accounts",
    "storage",
    "records",
    "signatures",
    "validation_docs",
    "sops",
    "cloudtrail",
    "inspections",
    "portal",
]

MIDDLEWARE = [
    "portal.edge.ClientAddress",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "audit.middleware.RequestId",
    "portal.edge.NoNul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "signatures.interactive.InteractiveOnly",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "accounts.middleware.SittingMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "audit.middleware.Refusals",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context.founding",
                "portal.navigation.navigation",
            ],
            "builtins": ["django.templatetags.static"],
        },
    }
]

# `default` is the application's role, which owns no table; `owner` migrates and does nothing else.
DATABASES = {
    "default": env.db_url_config(required("DATABASE_URL", "the portal keeps its rows in PostgreSQL 15 or later.")),
    "owner": env.db_url_config(required("MIGRATE_DATABASE_URL", "migrations run as the role that owns the tables.")),
}
for _database in DATABASES.values():
    if _database["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database: postgresql://role@host/name.")
    _database["CONN_MAX_AGE"] = 60
    _database["CONN_HEALTH_CHECKS"] = True
    _database["ATOMIC_REQUESTS"] = False
    # Values travel beside the statement, and what a connection asks for the fifth time is planned already.
    _database.setdefault("OPTIONS", {}).update({"server_side_binding": True, "prepare_threshold": 5})
if EMBEDDED and DATABASES["default"]["HOST"]:  # the embedded server has a socket, and no host
    raise ImproperlyConfigured(
        "COUNTERSIGN_EMBEDDED serves without TLS, on this machine alone: take it away where DATABASE_URL names another server."
    )
if DATABASES["default"]["USER"] == DATABASES["owner"]["USER"] or DATABASES["default"]["USER"] == "postgres":
    raise ImproperlyConfigured(
        "DATABASE_URL must use another role than MIGRATE_DATABASE_URL: the portal may not own its tables."
    )
DATABASE_READER = env.str("DATABASE_READER_ROLE", default="countersign_reader")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASE_ROUTERS: list[str] = []

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.PasswordBackend", "guardian.backends.ObjectPermissionBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "legal_name", "email")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:login"
# The one address at which passkeys are made and used: browsers bind them to its host, which has to be a name.
PASSKEY_ORIGIN = env.str("PASSKEY_ORIGIN", default=origin_of(SITE_URL))
LOGIN_REDIRECT_URL = "/"
ANONYMOUS_USER_NAME = None  # guardian would make an account that nobody answers for
GUARDIAN_MONKEY_PATCH_USER = False
GUARDIAN_RAISE_403 = False
# Single sign-on through OpenID Connect: all three, or none.
OIDC_ISSUER = env.str("OIDC_ISSUER", default="")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
if len({bool(OIDC_ISSUER), bool(OIDC_CLIENT_ID), bool(OIDC_CLIENT_SECRET)}) > 1:
    raise ImproperlyConfigured("Set OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, or none of them.")
if OIDC_ISSUER and not (
    OIDC_ISSUER.startswith("https://") or (EMBEDDED and OIDC_ISSUER.startswith("http://127.0.0.1:"))
):
    raise ImproperlyConfigured("OIDC_ISSUER must begin with https://: who people are is read from there.")
OIDC_NAME = env.str("OIDC_NAME", default="single sign-on")  # as people know it, on buttons
IDLE_SECONDS = env.int("IDLE_SECONDS", default=15 * 60)
PASSWORD_RESET_TIMEOUT = 60 * 60
INVITATION_DAYS = 7
# Shown on the log-in page of the demo, where everybody has the same one.
DEMO_PASSWORD = required("COUNTERSIGN_DEMO_PASSWORD", "the demo's accounts share it.") if DEMO else ""
SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # user names are unique in their folded form, `username_folded`
SIMPLE_HISTORY_REVERT_DISABLED = True

# Sessions and transport
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE, CSRF_COOKIE_HTTPONLY = "Lax", True  # scripts read the token from the page
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"
TLS = not EMBEDDED
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_NAME = "__Host-session" if TLS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if TLS else "csrf"
SECURE_SSL_REDIRECT = TLS
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
# What a proxy says of scheme and address is believed behind one alone: anybody can send such headers.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=TLS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# Time, language, files
LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = EMBEDDED
WHITENOISE_AUTOREFRESH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
VERIFY_BYTES = env.int("VERIFY_BYTES", default=25 * 1024 * 1024)  # of a file that anybody brings to have it checked
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
HOME_DIR = Path(env.str("COUNTERSIGN_HOME", default=str(BASE_DIR / ".run")))
CACHE_DIR = HOME_DIR / "cache"  # page images by hash; may be emptied at any time

# S3
S3_ENDPOINT_URL = env.str("S3_ENDPOINT_URL", default="") or None
S3_REGION = env.str("S3_REGION", default="eu-central-1")
S3_ACCESS_KEY_ID = env.str("S3_ACCESS_KEY_ID", default="") or None
S3_SECRET_ACCESS_KEY = env.str("S3_SECRET_ACCESS_KEY", default="") or None
# A role that the portal takes on for each person, so that CloudTrail names the person and not only the portal.
S3_PERSON_ROLE_ARN = env.str("S3_PERSON_ROLE_ARN", default="") or None
# Where the other services of AWS are asked (IAM, STS, CloudTrail, KMS, S3 Control); empty on AWS itself.
AWS_ENDPOINT_URL = env.str("AWS_ENDPOINT_URL", default=S3_ENDPOINT_URL or "" if EMBEDDED else "") or None
KMS_ENDPOINT_URL = env.str("KMS_ENDPOINT_URL", default="") or None
WORM_BUCKET = env.str("WORM_BUCKET", default="gxp-countersign")

# The portal's certificate, which seals PDFs: a PKCS#12 file, or a key in AWS KMS ("kms:ARN") with its certificates as PEM, the
# portal's own first. Where the servers are embedded a test certificate is made at its first use.
PDF_SIGNING_P12 = file_named("PDF_SIGNING_P12")
PDF_SIGNING_P12_PASSPHRASE = env.str("PDF_SIGNING_P12_PASSPHRASE", default="")
PDF_SIGNING_KEY = env.str("PDF_SIGNING_KEY", default="")
PDF_SIGNING_CERTIFICATES = file_named("PDF_SIGNING_CERTIFICATES")
PDF_TEST_CERTIFICATE = HOME_DIR / "pdf-test-certificate.p12"
if PDF_SIGNING_KEY and (not PDF_SIGNING_KEY.startswith("kms:arn:") or PDF_SIGNING_CERTIFICATES is None):
    raise ImproperlyConfigured(
        "PDF_SIGNING_KEY is kms:ARN, and PDF_SIGNING_CERTIFICATES the PEM file of its certificates."
    )
# A time-stamp authority (RFC 3161), and the certificates that it is trusted by, PEM.
TSA_URL = env.str("TSA_URL", default="")
TSA_CERTIFICATES = file_named("TSA_CERTIFICATES")
if TSA_URL and TSA_CERTIFICATES is None:
    raise ImproperlyConfigured("TSA_URL needs TSA_CERTIFICATES: a time stamp counts if it leads to one of them.")

ACCESS_REVIEWED_EVERY = env.int("ACCESS_REVIEWED_EVERY", default=180)  # days from one recertification to the next
DOCUMENT_RETENTION_YEARS = env.int("DOCUMENT_RETENTION_YEARS", default=10)  # data: as their definition says

# Checkpoints of the audit trail, best in another account: credentials of their own, good for this one bucket.
ANCHOR_BUCKET = env.str("ANCHOR_BUCKET", default="gxp-anchors")
ANCHOR_ENDPOINT_URL = env.str("ANCHOR_ENDPOINT_URL", default="") or S3_ENDPOINT_URL
ANCHOR_REGION = env.str("ANCHOR_REGION", default=S3_REGION)
ANCHOR_ACCESS_KEY_ID = env.str("ANCHOR_ACCESS_KEY_ID", default="") or None
ANCHOR_SECRET_ACCESS_KEY = env.str("ANCHOR_SECRET_ACCESS_KEY", default="") or None
ANCHOR_RETENTION_YEARS = env.int("ANCHOR_RETENTION_YEARS", default=DOCUMENT_RETENTION_YEARS)
# Whose trail it is, in each checkpoint. It must never change: notes of another origin are notes about something else.
TRAIL_ORIGIN = env.str("TRAIL_ORIGIN", default=f"{urlsplit(SITE_URL).hostname}/trail")
if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+", TRAIL_ORIGIN):
    raise ImproperlyConfigured(
        "TRAIL_ORIGIN must be a name with a path, without white space: records.example.org/trail."
    )

# Work in the background; the rows of `jobs.Job` are the truth, a message is a wake-up
CELERY_BROKER_URL = required("CELERY_BROKER_URL", "background work is announced there (RabbitMQ, Redis or Valkey).")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

# CloudTrail: how long a worker may be silent about the files that it took to read, and how many jobs read one trail's files
# beside its pull while many wait.
CLOUDTRAIL_LEASE_SECONDS = env.int("CLOUDTRAIL_LEASE_SECONDS", default=120)
CLOUDTRAIL_READERS = env.int("CLOUDTRAIL_READERS", default=2)
# A queue of SQS in which S3 tells of new log files; without it they are found by listing alone.
CLOUDTRAIL_QUEUE_URL = env.str("CLOUDTRAIL_QUEUE_URL", default="")
if CLOUDTRAIL_QUEUE_URL and not (
    re.fullmatch(r"https://[\w.-]+/\d{12}/[\w-]{1,80}", CLOUDTRAIL_QUEUE_URL)
    or (EMBEDDED and CLOUDTRAIL_QUEUE_URL.startswith("http://127.0.0.1:"))
):
    raise ImproperlyConfigured(
        "CLOUDTRAIL_QUEUE_URL must be the URL of a standard queue, as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME."
    )
if CLOUDTRAIL_LEASE_SECONDS < 1:
    raise ImproperlyConfigured("CLOUDTRAIL_LEASE_SECONDS must be 1 or more: nobody reads a file in no time.")

# Mail
EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND",
    default=(
        "django.core.mail.backends.filebased.EmailBackend"
        if EMBEDDED
        else "django.core.mail.backends.smtp.EmailBackend"
    ),
)
EMAIL_FILE_PATH = HOME_DIR / "mail"
EMAIL_HOST = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT = env.int("EMAIL_PORT", default=25)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=False)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"countersign@{ALLOWED_HOSTS[0]}")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "audit.requests.RequestIdFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
}
