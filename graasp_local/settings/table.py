"""The one table of what `.env` may hold: what each key means and which values are usable.

It serves `init` (which writes it), every command (which checks against it) and the documentation. Decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct


class Generated(Struct, frozen=True):
    """A secret that graasp-local makes by itself; `breaks` says what a new one logs out or breaks, as a sentence."""

    breaks: str


class DatabasePassword(Struct, frozen=True):
    """The password of a role in Postgres: a new one is set there and in `.env` together."""

    role: str
    breaks: str


class FromOutside(Struct, frozen=True):
    """A secret that is agreed with somebody else; `why` says where a new one comes from, as a sentence."""

    why: str


Secret = Generated | DatabasePassword | FromOutside


class Setting(Struct, frozen=True):
    """One key of `.env`, written by `init`. `pattern` is what a usable value looks like, `expected` says it in words.

    `secret` says what kind of secret the value is; None: it may be shown.
    """

    key: str
    comment: str
    pattern: str
    expected: str
    default: Callable[[], str]
    required: bool = True
    secret: Secret | None = None

    @property
    def is_generated(self) -> bool:
        """Whether its value is made anew for each site."""
        return self.default() != self.default()


class Option(Struct, frozen=True):
    """A key of `.env` that may be left out; `init` writes it as a comment. `default` is the compose files' own."""

    key: str
    comment: str
    default: str
    pattern: str = r".*"
    expected: str = "text"


def _fixed(text: str) -> Callable[[], str]:
    return lambda: text


def _hex(characters: int) -> Callable[[], str]:
    def generated() -> str:
        import secrets

        return secrets.token_hex(characters // 2)

    return generated


def _uuid() -> str:
    import uuid

    return str(uuid.uuid4())


_WORD = r"[A-Za-z0-9_-]{16,256}"
_WORD_EXPECTED = "16 to 256 letters, digits, - or _"
_HEX64 = r"[0-9a-fA-F]{64}"
_BOOLEAN = r"true|false"
_BOTH = "true or false"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_URL_HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
_FRAMING_SITE = rf"(https?:|(https?://)?(\*|(\*\.)?{_HOST}|\[[0-9A-Fa-f:.]+\])(:(\d{{1,5}}|\*))?/?)"


def _word(key: str, comment: str, secret: Secret) -> Setting:
    return Setting(key, comment, _WORD, _WORD_EXPECTED, _hex(48), secret=secret)


def _key(key: str, comment: str, secret: Secret) -> Setting:
    return Setting(key, comment, _HEX64, "64 hexadecimal digits", _hex(64), secret=secret)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "COMPOSE_PROJECT_NAME",
        "Name of this installation: containers, volumes and networks carry it. Changing it later loses sight of them.",
        r"[a-z0-9][a-z0-9_-]{0,40}",
        "up to 41 lower-case letters, digits, - or _",
        _fixed("graasp"),
    ),
    Setting(
        "PUBLIC_URL",
        "Where visitors find the site.",
        rf"https?://({_URL_HOST})(:\d{{1,5}})?",
        "http:// or https:// and a host, without a path",
        _fixed("http://localhost"),
    ),
    Setting(
        "COOKIE_DOMAIN",
        "The domain that Graasp's cookies belong to: the host of PUBLIC_URL.",
        _HOST,
        "a host name",
        _fixed("localhost"),
    ),
    Setting(
        "UMAMI_HOST",
        "The host name under which umami (web analytics) answers, on the same address and port as the site.",
        _HOST,
        "a host name",
        _fixed("umami.localhost"),
    ),
    Setting(
        "HTTP_BIND",
        "The address of this machine that nginx listens on: 0.0.0.0 for all of IPv4, :: for all of IPv4 and IPv6, "
        "127.0.0.1 for this machine only.",
        r"[0-9A-Fa-f.:]+",
        "an IP address",
        _fixed("0.0.0.0"),  # noqa: S104 - a web site is for everybody
    ),
    Setting("HTTP_PORT", "The port of this machine that nginx listens on.", r"\d{1,5}", "a port number", _fixed("80")),
    Setting(
        "MAINTENANCE_HEADER_NAME",
        "Requests that carry this header with the secret below pass the gate while the site is closed.",
        r"[A-Za-z][A-Za-z0-9-]{0,63}",
        "letters, digits and -, since nginx drops headers with other characters",
        _fixed("X-Graasp-Maintenance"),
    ),
    _word(
        "MAINTENANCE_HEADER_SECRET",
        "The secret that goes with it. `graasp-local bypass` prints both.",
        Generated("Bypass links and the maintenance header that were handed out pass a closed gate no more."),
    ),
    Setting(
        "MAINTENANCE_RETRY_AFTER",
        "Seconds after which browsers and programs are told to come back while the site is closed.",
        r"\d{1,5}",
        "a number of seconds",
        _fixed("60"),
        required=False,
    ),
    _word(
        "POSTGRES_PASSWORD",
        "Password of the database's superuser. Do not edit it: `graasp-local secrets rotate` changes the database too.",
        DatabasePassword("postgres", "Nobody but graasp-local uses it: nothing is interrupted."),
    ),
    _word(
        "GRAASP_DB_PASSWORD",
        "Password of the database owner `graasp`. Do not edit it, like the one above.",
        DatabasePassword("graasp", "Core and workers start anew: visitors see the maintenance page meanwhile."),
    ),
    _word(
        "UMAMI_DB_PASSWORD",
        "Password of the database owner `umami`. Do not edit it, like the one above.",
        DatabasePassword("umami", "umami starts anew: visits meanwhile are not counted."),
    ),
    _word(
        "ETHERPAD_DB_PASSWORD",
        "Password of the database owner `etherpad`. Do not edit it, like the one above.",
        DatabasePassword("etherpad", "Etherpad starts anew: pads that are open connect again."),
    ),
    _word(
        "UMAMI_APP_SECRET",
        "What umami signs its sessions with.",
        Generated("Everybody is logged out of umami, which starts anew: visits meanwhile are not counted."),
    ),
    _key(
        "SECURE_SESSION_SECRET_KEY",
        "What Graasp encrypts its sessions with: a new one logs everybody out.",
        Generated("Everybody is logged out of Graasp."),
    ),
    _word(
        "JWT_SECRET",
        "What Graasp signs its tokens with: a new one logs everybody out.",
        Generated("Everybody is logged out of Graasp, and log-in links that were sent by mail work no more."),
    ),
    _word(
        "PASSWORD_RESET_JWT_SECRET",
        "Signs the links for setting a new password.",
        Generated("Links for a new password that were sent by mail work no more."),
    ),
    _word(
        "EMAIL_CHANGE_JWT_SECRET",
        "Signs the links for changing an e-mail address.",
        Generated("Links for changing an e-mail address that were sent by mail work no more."),
    ),
    _word(
        "APPS_JWT_SECRET",
        "Signs the tokens of apps inside items.",
        Generated("Apps that are open inside items have to be loaded anew."),
    ),
    Setting("APPS_PUBLISHER_ID", "Identifies the publisher of apps.", r"[0-9a-f-]{36}", "a UUID", _uuid),
    Setting(
        "GRAASPER_CREATOR_ID",
        "The account that owns what Graasp itself provides.",
        r"[0-9a-f-]{36}",
        "a UUID",
        _uuid,
    ),
    _key(
        "ETHERPAD_API_KEY",
        "Shared between Graasp and Etherpad.",
        Generated("Etherpad starts anew: pads that are open connect again."),
    ),
    _word(
        "MEILISEARCH_MASTER_KEY",
        "Shared between Graasp and Meilisearch.",
        Generated("Meilisearch starts anew: nothing is found by search meanwhile."),
    ),
    _word(
        "MEILISEARCH_REBUILD_SECRET",
        "Whoever sends it to Graasp has everything indexed anew for search.",
        Generated("What sends it has to be told the new one."),
    ),
    _key(
        "ADMIN_SECRET_KEY_BASE",
        "What the admin signs its sessions with, if it is switched on.",
        Generated("Everybody is logged out of the admin."),
    ),
    Setting(
        "MAILER_CONNECTION",
        "The mail server: smtp://user:password@host:port. Without a real one nobody can register or log in by mail.",
        r"smtps?://\S+:\d+",
        "smtp://user:password@host:port",
        _fixed("smtp://user:password@localhost:1025"),
        secret=FromOutside("Its password belongs to the mail server: set a new one there, then edit .env."),
    ),
    Setting(
        "BACKUP_KEEP_COUNT",
        "The newest so many backups are kept, whatever their age; those that deployments take are counted apart.",
        r"[1-9]\d{0,3}",
        "a number from 1 to 9999",
        _fixed("7"),
        required=False,
    ),
    Setting(
        "BACKUP_KEEP_DAYS",
        "Every backup younger than so many days is kept, however many there are.",
        r"\d{1,4}",
        "a number of days",
        _fixed("30"),
        required=False,
    ),
    Setting(
        "DEPLOY_STRATEGY",
        "How a version takes over: walk closes the site meanwhile; rolling-if-possible replaces core while visitors "
        "are served, where nothing has to be migrated, and else is the same as walk.",
        r"walk|rolling-if-possible",
        "walk or rolling-if-possible",
        _fixed("walk"),
        required=False,
    ),
)

OPTIONS: tuple[Option, ...] = (
    Option(
        "GRAASP_REPOSITORY",
        "Where the images of core, workers and migrate come from; the tags are core-vX.Y.Z and so on.",
        "public.ecr.aws/graasp/graasp",
    ),
    Option("CORE_IMAGE", "One image of core, whatever the version.", ""),
    Option("WORKERS_IMAGE", "One image of workers, whatever the version.", ""),
    Option("MIGRATE_IMAGE", "One image of migrate, whatever the version.", ""),
    Option("DB_IMAGE", "The image of Postgres.", "postgres:16.11"),
    Option("UMAMI_IMAGE", "The image of umami.", "ghcr.io/umami-software/umami:3.0.3"),
    Option("REDIS_IMAGE", "The image of Redis.", "redis:7.4-bookworm"),
    Option("NGINX_IMAGE", "The image of nginx.", "nginx:1.28.0"),
    Option("MEILISEARCH_IMAGE", "The image of Meilisearch.", "getmeili/meilisearch:v1.8.4"),
    Option("ETHERPAD_IMAGE", "The image of Etherpad.", "etherpad/etherpad:2.2.7"),
    Option("IFRAMELY_IMAGE", "The image of iframely.", "graasp/iframely:latest"),
    Option("FILES_IMAGE", "The image that serves uploaded files.", "joseluisq/static-web-server:2.38.1-alpine"),
    Option("CLIENT_IMAGE", "One image of the client, whatever the version.", ""),
    Option("NUDENET_IMAGE", "The image of NudeNet.", "public.ecr.aws/graasp/graasp:nudenet-latest"),
    Option("ADMIN_IMAGE", "The image of the admin.", "public.ecr.aws/graasp/admin:v0.5.0"),
    Option("MAILPIT_IMAGE", "The image of Mailpit.", "axllent/mailpit:v1.22.3"),
    Option(
        "DB_PORT",
        "A fixed port for Postgres on 127.0.0.1. Left out, the engine picks a free one.",
        "",
        r"\d{1,5}",
        "a port number",
    ),
    Option(
        "TLS",
        "Who speaks TLS: off (nobody, or a proxy in front), files (nginx, with TLS_CERTIFICATE and TLS_KEY), "
        "acme (nginx, with certificates that `graasp-local certificate renew` gets by itself).",
        "off",
        r"off|files|acme",
        "off, files or acme",
    ),
    Option("HTTPS_PORT", "The port of this machine that nginx speaks TLS on.", "443", r"\d{1,5}", "a port number"),
    Option(
        "TLS_CERTIFICATE",
        "With TLS=files: the certificate and its chain, as one file in PEM. Renewed there, it is taken over by "
        "`graasp-local certificate renew`.",
        "",
        r"/.+",
        "an absolute path",
    ),
    Option("TLS_KEY", "With TLS=files: the private key in PEM, without a passphrase.", "", r"/.+", "an absolute path"),
    Option(
        "TLS_DOMAINS",
        "With TLS=acme: the names that the certificate is for, separated by commas. Left out, the hosts of "
        "PUBLIC_URL, of umami, and of the admin if it is switched on.",
        "",
        rf"{_HOST}(,{_HOST})*",
        "host names separated by commas",
    ),
    Option(
        "ACME_DIRECTORY",
        "With TLS=acme: where certificates come from.",
        "https://acme-v02.api.letsencrypt.org/directory",
        r"https://\S+",
        "an https:// address",
    ),
    Option("ACME_EMAIL", "With TLS=acme: where the authority may write to.", "", r"[^\s@]+@[^\s@]+", "a mail address"),
    Option(
        "HSTS_SECONDS",
        "For how long browsers that were here once refuse to come without TLS: 31536000 is a year, 0 not at all. It "
        "cannot be taken back before that.",
        "0",
        r"\d{1,9}",
        "a number of seconds",
    ),
    Option(
        "TRUSTED_PROXIES",
        "Addresses or networks of proxies in front whose X-Forwarded-For and X-Forwarded-Proto are believed, separated "
        "by commas; `host` is this machine.",
        "",
        r"(host|[0-9a-fA-F.:]+(/\d{1,3})?)(,(host|[0-9a-fA-F.:]+(/\d{1,3})?))*",
        "addresses, networks or host, separated by commas",
    ),
    Option(
        "COMPOSE_PROFILES",
        "Parts of the stack that are switched on, separated by commas: admin, client, etherpad, files, iframely, "
        "mailpit, nudenet, and what compose.override.yaml has.",
        "",
        r"[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*",
        "names separated by commas",
    ),
    Option(
        "FRAME_ANCESTORS",
        "Other sites that may show this one in a frame, such as https://moodle.school.example, separated by spaces.",
        "",
        rf"{_FRAMING_SITE}( +{_FRAMING_SITE})*",
        "addresses such as https://moodle.school.example, separated by spaces",
    ),
    Option("ADMIN_HOST", "The host name under which the admin answers.", "admin.localhost", _HOST, "a host name"),
    Option("MAILPIT_PORT", "A fixed port for Mailpit's pages on 127.0.0.1.", "", r"\d{1,5}", "a port number"),
    Option("MAILER_USE_SSL", "Whether Graasp speaks TLS to the mail server from the start.", "false", _BOOLEAN, _BOTH),
    Option(
        "RECAPTCHA_SECRET_ACCESS_KEY",
        "Graasp's secret at Google's reCAPTCHA. Before Graasp 2.13.9 nobody logs in or registers without it and the "
        "key below; from then on BYPASS_RECAPTCHA does without.",
        "unused",
    ),
    Option("RECAPTCHA_SITE_KEY", "The key of the same for browsers, which `build` puts into the client.", ""),
    Option("UMAMI_WEBSITE_ID", "The site's id in umami, which `build` puts into the client so that visits count.", ""),
    Option("BYPASS_RECAPTCHA", "Whether Graasp lets people in without reCAPTCHA.", "true", _BOOLEAN, _BOTH),
    Option("ETHERPAD_URL", "Where core finds Etherpad.", "http://etherpad:9001"),
    Option("MEILISEARCH_URL", "Where core finds Meilisearch.", "http://meilisearch:7700"),
    Option("EMBEDDED_LINK_ITEM_IFRAMELY_HREF_ORIGIN", "Where core finds iframely.", "http://iframely:8061"),
    Option(
        "IMAGE_CLASSIFIER_API",
        "What looks at images before something is published; without it nothing that has an image can be. Left out, "
        "NudeNet where the profile nudenet is on: http://nudenet:8080/infer.",
        "",
    ),
    Option("FILE_STORAGE_TYPE", "Where uploaded files are kept.", "local", "local|s3", "local or s3"),
    Option("FILE_STORAGE_HOST", "Where browsers find them; ends in a slash. Left out: PUBLIC_URL/files/.", ""),
    Option("S3_FILE_ITEM_HOST", "The address of an S3 server that is not Amazon's.", ""),
    Option("S3_FILE_ITEM_REGION", "With FILE_STORAGE_TYPE=s3: the region.", ""),
    Option("S3_FILE_ITEM_BUCKET", "With FILE_STORAGE_TYPE=s3: the bucket.", ""),
    Option("S3_FILE_ITEM_ACCESS_KEY_ID", "With FILE_STORAGE_TYPE=s3: the name of the key.", ""),
    Option("S3_FILE_ITEM_SECRET_ACCESS_KEY", "With FILE_STORAGE_TYPE=s3: the key.", ""),
    Option("H5P_FILE_STORAGE_TYPE", "Where H5P content is kept.", "local", "local|s3", "local or s3"),
    Option("H5P_FILE_STORAGE_HOST", "Where browsers find H5P content; ends in a slash. Left out: PUBLIC_URL/h5p/.", ""),
    Option(
        "H5P_INTEGRATION_URL",
        "The page in whose frame H5P content is shown. Left out: PUBLIC_URL/h5p-integration.html, which nginx has.",
        "",
        r"https?://\S+",
        "an address",
    ),
    Option("H5P_PATH_PREFIX", "The path below which H5P content lies.", "h5p-content/"),
    Option("H5P_CONTENT_REGION", "With H5P_FILE_STORAGE_TYPE=s3: the region.", ""),
    Option("H5P_CONTENT_BUCKET", "With H5P_FILE_STORAGE_TYPE=s3: the bucket.", ""),
    Option("H5P_CONTENT_ACCESS_KEY_ID", "With H5P_FILE_STORAGE_TYPE=s3: the name of the key.", ""),
    Option("H5P_CONTENT_SECRET_ACCESS_KEY_ID", "With H5P_FILE_STORAGE_TYPE=s3: the key.", ""),
    Option("LIBRARY_CLIENT_HOST", "Where the library is found, if there is one. Left out: PUBLIC_URL.", ""),
    Option("SHORT_LINK_BASE_URL", "What short links begin with. Left out: PUBLIC_URL/api/items/short-links.", ""),
    Option("MAILER_CONFIG_FROM_EMAIL", "The sender of Graasp's mails. Left out: no-reply@COOKIE_DOMAIN.", ""),
    Option("LOG_LEVEL", "How much core and workers log.", "info"),
    Option("DB_CONNECTION_POOL_SIZE", "Connections to the database that core keeps.", "", r"[1-9]\d{0,3}", "a number"),
    Option(
        "CORS_ORIGIN_REGEX",
        "Other origins whose pages may call the API, as a regular expression in single quotes.",
        "",
    ),
    Option("GEOLOCATION_API_HOST", "Where core looks up addresses on the map, such as an API of Geoapify.", ""),
    Option("GEOLOCATION_API_KEY", "The key for it.", ""),
    Option("OPENAI_API_KEY", "The key of OpenAI, for chat bots in apps.", ""),
    Option("OPENAI_ORG_ID", "The organisation at OpenAI.", ""),
    Option("OPENAI_GPT_VERSION", "The model of OpenAI that chat bots use unless they name one.", ""),
    Option("ADMIN_SHARED_SECRET", "What core and the admin know each other by, from Graasp 2.14.", ""),
    Option("SENTRY_DSN", "Where core reports errors to.", ""),
    Option("SENTRY_ENV", "The name of this site among the errors reported.", ""),
)

ALL: tuple[Setting | Option, ...] = (*SETTINGS, *OPTIONS)
"""Every key that means something in a `.env`, in the order in which `init` writes it."""

OWN_VARIABLES = frozenset(
    {"GRAASP_VERSION", "GRAASP_STACK"}
    | {"GRAASP_DB_IMAGE", "GRAASP_DB_VOLUME", "GRAASP_DB_INSTEAD_OF", "GRAASP_DB_UPGRADED_TO"}
    | {"GRAASP_CLIENT", "GRAASP_SECRETS", "GRAASP_BIND", "GRAASP_PUBLIC_HOST", "GRAASP_NAMES"}
    | {"GRAASP_INSIDE_AUTHORITY", "GRAASP_IMAGE_CLASSIFIER", "GRAASP_NO_PROXY"}
)
"""What graasp-local itself tells Compose (.graasp-local/version.env); not to be set by hand."""

SETTINGS_PREFIX = "GRAASP_SETTINGS_"
"""Before a service's name: the variable with the digest of its settings, which is graasp-local's own too."""

UMAMIS_OWN = frozenset({"UMAMI_DB_PASSWORD", "UMAMI_APP_SECRET"})
"""What umami alone is made anew for: it migrates its own database at every start, so it is left alone otherwise."""


def is_own(key: str) -> bool:
    """Whether graasp-local sets this variable itself."""
    return key in OWN_VARIABLES or key.startswith(SETTINGS_PREFIX)


def is_secret(key: str) -> bool:
    """Whether the value of this key stays hidden: by the table, and by its name for a key that is not in it."""
    for setting in SETTINGS:
        if setting.key == key:
            return setting.secret is not None
    return re.search(r"SECRET|PASSWORD|TOKEN|KEY$|CREDENTIAL|CONNECTION", key) is not None
