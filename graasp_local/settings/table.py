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
    """A secret that is agreed with someone else; `why` says where a new one comes from, as a sentence."""

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
        """Whether each site gets a new value."""
        return self.default() != self.default()


class Option(Struct, frozen=True):
    """A key of `.env` that may be left out; `init` writes it as a comment. `default` is the compose files' own."""

    key: str
    comment: str
    default: str
    pattern: str = r".*"
    expected: str = "text"


_REPOSITORY = (
    r"(?:(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_DIGEST = r"sha256:[0-9a-f]{64}"
_IMAGE = rf"{_REPOSITORY}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@{_DIGEST})?|{_DIGEST}"


def _image(key: str, comment: str, default: str = "") -> Option:
    return Option(key, comment, default, _IMAGE, "the name of an image, such as registry.example/name:tag")


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


_NAME = r"[A-Za-z0-9_.-]+"
_CONSTRAINT = rf"(node\.(id|hostname|role|platform\.(os|arch)|labels\.{_NAME})|engine\.labels\.{_NAME})[!=]={_NAME}"
_ENGINE = r"(ssh|tcp|unix)://[^\s,'\"$]+"

MOST_REPLICAS = 16
"""Of one service."""
REPLICAS = {"core": "CORE_REPLICAS", "workers": "WORKERS_REPLICAS"}
"""The services that may have several containers, and the keys that say how many."""
_REPLICAS = (r"[1-9]|1[0-6]", f"a number from 1 to {MOST_REPLICAS}")


def _word(key: str, comment: str, secret: Secret) -> Setting:
    return Setting(key, comment, _WORD, _WORD_EXPECTED, _hex(48), secret=secret)


def _key(key: str, comment: str, secret: Secret) -> Setting:
    return Setting(key, comment, _HEX64, "64 hexadecimal digits", _hex(64), secret=secret)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "COMPOSE_PROJECT_NAME",
        "Name of this installation; containers, volumes and networks are named after it. Do not change it later: "
        "the old ones would no longer be found.",
        r"[a-z0-9][a-z0-9_-]{0,40}",
        "up to 41 lower-case letters, digits, - or _",
        _fixed("graasp"),
    ),
    Setting(
        "PUBLIC_URL",
        "The address of the site.",
        rf"https?://({_URL_HOST})(:\d{{1,5}})?",
        "http:// or https:// and a host, without a path",
        _fixed("http://localhost"),
    ),
    Setting(
        "COOKIE_DOMAIN",
        "The domain of Graasp's cookies: the host of PUBLIC_URL.",
        rf"({_HOST}|\[[0-9A-Fa-f:.]+\])",
        "a host name",
        _fixed("localhost"),
    ),
    Setting(
        "UMAMI_HOST",
        "The host name of umami (web analytics), on the same address and port as the site.",
        _HOST,
        "a host name",
        _fixed("umami.localhost"),
    ),
    Setting(
        "HTTP_BIND",
        "The address that nginx listens on: 0.0.0.0 for every IPv4 address, :: for every IPv4 and IPv6 address, "
        "127.0.0.1 for this machine only.",
        r"[0-9A-Fa-f.:]+",
        "an IP address",
        _fixed("0.0.0.0"),  # noqa: S104 - a web site is for everyone
    ),
    Setting("HTTP_PORT", "The port that nginx listens on.", r"\d{1,5}", "a port number", _fixed("80")),
    Setting(
        "MAINTENANCE_HEADER_NAME",
        "Requests with this header and the secret below pass the gate while the site is closed.",
        r"[A-Za-z][A-Za-z0-9-]{0,63}",
        "up to 64 letters, digits and - only, beginning with a letter; nginx drops headers with other characters",
        _fixed("X-Graasp-Maintenance"),
    ),
    _word(
        "MAINTENANCE_HEADER_SECRET",
        "The secret for that header. `graasp-local bypass` prints both.",
        Generated("Bypass links and the maintenance header that you handed out stop working."),
    ),
    Setting(
        "MAINTENANCE_RETRY_AFTER",
        "How many seconds browsers and programs are told to wait before they try again while the site is closed "
        "(Retry-After).",
        r"\d{1,5}",
        "a number of seconds, at most 99999",
        _fixed("60"),
        required=False,
    ),
    _word(
        "POSTGRES_PASSWORD",
        "Password of the database's superuser. Do not edit it here: `graasp-local secrets rotate` changes it in the "
        "database too.",
        DatabasePassword("postgres", "Only graasp-local uses it: nothing is interrupted."),
    ),
    _word(
        "GRAASP_DB_PASSWORD",
        "Password of the database owner `graasp`. Do not edit it here: use `graasp-local secrets rotate`.",
        DatabasePassword("graasp", "Core and workers restart; during the restart visitors see the maintenance page."),
    ),
    _word(
        "UMAMI_DB_PASSWORD",
        "Password of the database owner `umami`. Do not edit it here: use `graasp-local secrets rotate`.",
        DatabasePassword("umami", "umami restarts; visits during the restart are not counted."),
    ),
    _word(
        "ETHERPAD_DB_PASSWORD",
        "Password of the database owner `etherpad`. Do not edit it here: use `graasp-local secrets rotate`.",
        DatabasePassword("etherpad", "Etherpad restarts; open pads reconnect."),
    ),
    _word(
        "UMAMI_APP_SECRET",
        "Signs umami's sessions.",
        Generated("umami restarts and logs all users out; visits during the restart are not counted."),
    ),
    _key(
        "SECURE_SESSION_SECRET_KEY",
        "Encrypts Graasp's sessions; a new one logs all users out.",
        Generated("All users are logged out of Graasp."),
    ),
    _word(
        "JWT_SECRET",
        "Signs Graasp's tokens; a new one logs all users out.",
        Generated("All users are logged out of Graasp, and login links sent by mail stop working."),
    ),
    _word(
        "PASSWORD_RESET_JWT_SECRET",
        "Signs password reset links.",
        Generated("Password reset links sent by mail stop working."),
    ),
    _word(
        "EMAIL_CHANGE_JWT_SECRET",
        "Signs the links that confirm a new e-mail address.",
        Generated("Links that confirm a new e-mail address stop working."),
    ),
    _word(
        "APPS_JWT_SECRET",
        "Signs the tokens of apps inside items.",
        Generated("Apps that are open inside items must be reloaded."),
    ),
    Setting("APPS_PUBLISHER_ID", "Identifies the publisher of apps.", r"[0-9a-f-]{36}", "a UUID", _uuid),
    Setting(
        "GRAASPER_CREATOR_ID",
        "The id of the account that owns the content that Graasp itself provides.",
        r"[0-9a-f-]{36}",
        "a UUID",
        _uuid,
    ),
    _key(
        "ETHERPAD_API_KEY",
        "Shared between Graasp and Etherpad.",
        Generated("Etherpad restarts; open pads reconnect."),
    ),
    _word(
        "MEILISEARCH_MASTER_KEY",
        "Shared between Graasp and Meilisearch.",
        Generated("Meilisearch restarts; search finds nothing during the restart."),
    ),
    _word(
        "MEILISEARCH_REBUILD_SECRET",
        "A request with this key makes Graasp rebuild its search index.",
        Generated("Programs that send the key need the new one."),
    ),
    _key(
        "ADMIN_SECRET_KEY_BASE",
        "Signs the admin's sessions, if the admin is switched on.",
        Generated("All users are logged out of the admin."),
    ),
    Setting(
        "MAILER_CONNECTION",
        "The mail server: smtp://user:password@host:port. Without a real one, users cannot register or log in by mail.",
        r"smtps?://\S+:\d+",
        "smtp://user:password@host:port",
        _fixed("smtp://user:password@localhost:1025"),
        secret=FromOutside("Its password belongs to the mail server: change it there, then edit .env."),
    ),
    Setting(
        "BACKUP_KEEP_COUNT",
        "How many of the newest backups are kept, whatever their age; backups taken by deployments are counted "
        "separately.",
        r"[1-9]\d{0,3}",
        "a number from 1 to 9999",
        _fixed("7"),
        required=False,
    ),
    Setting(
        "BACKUP_KEEP_DAYS",
        "How many days every backup is kept, however many there are.",
        r"\d{1,4}",
        "a number of days, at most 9999",
        _fixed("30"),
        required=False,
    ),
    Setting(
        "DEPLOY_STRATEGY",
        "How a version is deployed: closed (the site is closed while it is deployed) or rolling-if-possible (core is "
        "replaced while visitors are served; the site is closed only if that is not possible).",
        r"closed|walk|rolling-if-possible",
        "closed or rolling-if-possible",
        _fixed("closed"),
        required=False,
    ),
    Setting(
        "STOPPED_PAGE",
        "What visitors get in the state stopped: off (no answer, because nginx is stopped too) or on (nginx keeps "
        "running and shows the maintenance page).",
        r"on|off",
        "on or off",
        _fixed("off"),
        required=False,
    ),
)

OPTIONS: tuple[Option, ...] = (
    Option(
        "GRAASP_REPOSITORY",
        "The repository of the images of core, workers and migrate; their tags are core-vX.Y.Z and so on.",
        "public.ecr.aws/graasp/graasp",
        _REPOSITORY,
        "the name of a repository without a tag, such as registry.example/graasp",
    ),
    _image("CORE_IMAGE", "One image of core, used for every version."),
    _image("WORKERS_IMAGE", "One image of workers, used for every version."),
    _image("MIGRATE_IMAGE", "One image of migrate, used for every version."),
    _image("DB_IMAGE", "The image of Postgres.", "postgres:16.11"),
    _image("UMAMI_IMAGE", "The image of umami.", "ghcr.io/umami-software/umami:3.0.3"),
    _image("REDIS_IMAGE", "The image of Redis.", "redis:7.4-bookworm"),
    _image("NGINX_IMAGE", "The image of nginx.", "nginx:1.28.0"),
    _image("MEILISEARCH_IMAGE", "The image of Meilisearch.", "getmeili/meilisearch:v1.8.4"),
    _image("ETHERPAD_IMAGE", "The image of Etherpad.", "etherpad/etherpad:2.2.7"),
    _image("IFRAMELY_IMAGE", "The image of iframely.", "graasp/iframely:latest"),
    _image("FILES_IMAGE", "The image that serves uploaded files.", "joseluisq/static-web-server:2.38.1-alpine"),
    _image("CLIENT_IMAGE", "One image of the client, used for every version."),
    _image("NUDENET_IMAGE", "The image of NudeNet.", "public.ecr.aws/graasp/graasp:nudenet-latest"),
    _image("ADMIN_IMAGE", "The image of the admin.", "public.ecr.aws/graasp/admin:v0.5.0"),
    _image("MAILPIT_IMAGE", "The image of Mailpit.", "axllent/mailpit:v1.22.3"),
    Option(
        "CORE_REPLICAS",
        "How many containers of core run. Default: 1. `graasp-local scale core=2` sets this and starts them.",
        "",
        *_REPLICAS,
    ),
    Option(
        "WORKERS_REPLICAS",
        "How many containers of workers run. Default: 1. `graasp-local scale workers=2` sets this and starts them.",
        "",
        *_REPLICAS,
    ),
    Option(
        "SWARM",
        "Where core and workers run: off (on this machine) or on (on the machines of the Docker Swarm that this "
        "machine is a manager of; see docs/scale.md). Default: off.",
        "",
        r"on|off",
        "on or off",
    ),
    Option(
        "SWARM_PLACEMENT",
        "With SWARM=on: which machines core and workers may run on, as Docker placement constraints separated by "
        "commas, such as node.labels.graasp==yes. Default: all.",
        "",
        rf"{_CONSTRAINT}(,{_CONSTRAINT})*",
        "conditions such as node.labels.graasp==yes or node.role!=manager, separated by commas",
    ),
    Option(
        "SWARM_FILES",
        "With SWARM=on: where uploaded files are kept: s3 (FILE_STORAGE_TYPE and H5P_FILE_STORAGE_TYPE must be s3 "
        "too) or shared (compose.override.yaml defines the volume files so that every machine has the same one). "
        "Default: s3.",
        "",
        r"s3|shared",
        "s3 or shared",
    ),
    Option(
        "SWARM_ENGINES",
        "With SWARM=on, if the images are not in a registry: the Docker engines of the other machines, in the form of "
        "DOCKER_HOST, separated by commas, such as ssh://root@node2. This machine sends them the images. Default: "
        "none.",
        "",
        rf"{_ENGINE}(,{_ENGINE})*",
        "addresses that begin with ssh://, tcp:// or unix://, separated by commas",
    ),
    Option(
        "DB_PORT",
        "A fixed port for Postgres on 127.0.0.1. Default: a free one, chosen by the engine.",
        "",
        r"\d{1,5}",
        "a port number",
    ),
    Option(
        "DATABASE",
        "Where the databases are: stack (the service db) or external (a Postgres server outside the stack, such as a "
        "managed one, at DATABASE_HOST). Default: stack.",
        "",
        r"stack|external",
        "stack or external",
    ),
    Option(
        "DATABASE_HOST",
        "With DATABASE=external: the host name of the Postgres server. This machine and its containers must be able to "
        "resolve it.",
        "",
        _HOST,
        "a host name",
    ),
    Option("DATABASE_PORT", "With DATABASE=external: the server's port.", "5432", r"\d{1,5}", "a port number"),
    Option(
        "DATABASE_ADMIN_USER",
        "With DATABASE=external: the role with which graasp-local creates and manages Graasp's databases and their "
        "owners. It need not be a superuser, but must be allowed to create databases and roles.",
        "",
        r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}",
        "up to 63 letters, digits, _, ., @ and -, beginning with a letter or _",
    ),
    Option(
        "DATABASE_ADMIN_PASSWORD",
        "With DATABASE=external: the password of that role, in single quotes. No service gets it.",
        "",
        r"[^\x00-\x1f\x7f]{1,512}",
        "up to 512 characters, none of them a control character",
    ),
    Option(
        "DATABASE_SSL",
        "With DATABASE=external: verify-full (encrypted, and the server's certificate is checked) or off (nothing is "
        "encrypted: only for a network that no one else can reach). Default: verify-full.",
        "",
        r"verify-full|off",
        "verify-full or off",
    ),
    Option(
        "DATABASE_CA",
        "With DATABASE_SSL=verify-full: a PEM file with the CA certificates that the server's certificate is checked "
        "against. Get it from the server's provider.",
        "",
        r"/.+",
        "an absolute path",
    ),
    Option(
        "DATABASE_COPY",
        "With DATABASE=external: how a deployment copies the database before a migration: template (on the server; "
        "restored within a second) or dump (to a file in the site's directory, if the server has no room for a copy). "
        "Default: template.",
        "",
        r"template|dump",
        "template or dump",
    ),
    Option(
        "TLS",
        "Who terminates TLS: off (nginx serves plain HTTP), files (nginx, with TLS_CERTIFICATE and "
        "TLS_KEY) or acme (nginx, with certificates that `graasp-local certificate renew` gets from Let's Encrypt "
        "or another authority).",
        "off",
        r"off|files|acme",
        "off, files or acme",
    ),
    Option("HTTPS_PORT", "The port that nginx listens on for HTTPS.", "443", r"\d{1,5}", "a port number"),
    Option(
        "TLS_CERTIFICATE",
        "With TLS=files: the certificate and its chain, as one PEM file. After renewing it, run "
        "`graasp-local certificate renew`.",
        "",
        r"/.+",
        "an absolute path",
    ),
    Option(
        "TLS_KEY",
        "With TLS=files: the private key, as a PEM file without a passphrase.",
        "",
        r"/.+",
        "an absolute path",
    ),
    Option(
        "TLS_DOMAINS",
        "With TLS=acme: the host names in the certificate, separated by commas. Default: the hosts of "
        "PUBLIC_URL, of umami, and of the admin if it is switched on.",
        "",
        rf"{_HOST}(,{_HOST})*",
        "host names separated by commas",
    ),
    Option(
        "ACME_DIRECTORY",
        "With TLS=acme: the directory URL of the authority that issues certificates.",
        "https://acme-v02.api.letsencrypt.org/directory",
        r"https://\S+",
        "an https:// address",
    ),
    Option(
        "ACME_EMAIL",
        "With TLS=acme: the address that the authority may send mail to.",
        "",
        r"[^\s@]+@[^\s@]+",
        "an e-mail address",
    ),
    Option(
        "HSTS_SECONDS",
        "How many seconds browsers insist on HTTPS after a visit: 31536000 is a year, 0 is off. It cannot be undone "
        "until they have passed.",
        "0",
        r"\d{1,9}",
        "a number of seconds",
    ),
    Option(
        "TRUSTED_PROXIES",
        "Proxies in front of nginx whose X-Forwarded-For and X-Forwarded-Proto are trusted: addresses or "
        "networks, separated by commas; `host` is the machine that nginx runs on.",
        "",
        r"(host|[0-9a-fA-F.:]+(/\d{1,3})?)(,(host|[0-9a-fA-F.:]+(/\d{1,3})?))*",
        "addresses, networks or host, separated by commas",
    ),
    Option(
        "COMPOSE_PROFILES",
        "Optional parts that are switched on, separated by commas: admin, client, etherpad, files, iframely, "
        "mailpit, nudenet, and those in compose.override.yaml.",
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
    Option("ADMIN_HOST", "The host name of the admin.", "admin.localhost", _HOST, "a host name"),
    Option("MAILPIT_PORT", "A fixed port for Mailpit's pages on 127.0.0.1.", "", r"\d{1,5}", "a port number"),
    Option(
        "MAILER_USE_SSL",
        "Whether Graasp connects to the mail server over TLS from the start.",
        "false",
        _BOOLEAN,
        _BOTH,
    ),
    Option(
        "RECAPTCHA_SECRET_ACCESS_KEY",
        "Graasp's secret for Google's reCAPTCHA. Before Graasp 2.13.9, users cannot log in or register without "
        "it and the key below; from 2.13.9 on, neither is needed while BYPASS_RECAPTCHA is true.",
        "unused",
    ),
    Option("RECAPTCHA_SITE_KEY", "The reCAPTCHA key for browsers, which `build` puts into the client.", ""),
    Option(
        "UMAMI_WEBSITE_ID", "The site's id in umami, which `build` puts into the client so that visits are counted.", ""
    ),
    Option("BYPASS_RECAPTCHA", "Whether Graasp works without reCAPTCHA.", "true", _BOOLEAN, _BOTH),
    Option("ETHERPAD_URL", "Where core finds Etherpad.", "http://etherpad:9001"),
    Option("MEILISEARCH_URL", "Where core finds Meilisearch.", "http://meilisearch:7700"),
    Option("EMBEDDED_LINK_ITEM_IFRAMELY_HREF_ORIGIN", "Where core finds iframely.", "http://iframely:8061"),
    Option(
        "IMAGE_CLASSIFIER_API",
        "The service that checks images before an item is published; without one, items with an image cannot be "
        "published. Default: http://nudenet:8080/infer if the profile nudenet is on.",
        "",
    ),
    Option("FILE_STORAGE_TYPE", "Where uploaded files are kept.", "local", "local|s3", "local or s3"),
    Option(
        "FILE_STORAGE_HOST",
        "The address at which browsers get uploaded files, with a slash at the end. Default: PUBLIC_URL/files/.",
        "",
    ),
    Option("S3_FILE_ITEM_HOST", "The address of the S3 server, if it is not Amazon's.", ""),
    Option("S3_FILE_ITEM_REGION", "With FILE_STORAGE_TYPE=s3: the region.", ""),
    Option("S3_FILE_ITEM_BUCKET", "With FILE_STORAGE_TYPE=s3: the bucket.", ""),
    Option("S3_FILE_ITEM_ACCESS_KEY_ID", "With FILE_STORAGE_TYPE=s3: the access key's id.", ""),
    Option("S3_FILE_ITEM_SECRET_ACCESS_KEY", "With FILE_STORAGE_TYPE=s3: the secret access key.", ""),
    Option("H5P_FILE_STORAGE_TYPE", "Where H5P content is kept.", "local", "local|s3", "local or s3"),
    Option(
        "H5P_FILE_STORAGE_HOST",
        "The address at which browsers get H5P content, with a slash at the end. Default: PUBLIC_URL/h5p/.",
        "",
    ),
    Option(
        "H5P_INTEGRATION_URL",
        "The page that frames H5P content. Default: PUBLIC_URL/h5p-integration.html, which nginx serves.",
        "",
        r"https?://\S+",
        "an address",
    ),
    Option("H5P_PATH_PREFIX", "The path prefix of H5P content.", "h5p-content/"),
    Option("H5P_CONTENT_REGION", "With H5P_FILE_STORAGE_TYPE=s3: the region.", ""),
    Option("H5P_CONTENT_BUCKET", "With H5P_FILE_STORAGE_TYPE=s3: the bucket.", ""),
    Option("H5P_CONTENT_ACCESS_KEY_ID", "With H5P_FILE_STORAGE_TYPE=s3: the access key's id.", ""),
    Option("H5P_CONTENT_SECRET_ACCESS_KEY_ID", "With H5P_FILE_STORAGE_TYPE=s3: the secret access key.", ""),
    Option("LIBRARY_CLIENT_HOST", "The address of the library, if there is one. Default: PUBLIC_URL.", ""),
    Option("SHORT_LINK_BASE_URL", "What short links begin with. Default: PUBLIC_URL/api/items/short-links.", ""),
    Option("MAILER_CONFIG_FROM_EMAIL", "The sender of Graasp's mails. Default: no-reply@COOKIE_DOMAIN.", ""),
    Option("LOG_LEVEL", "The log level of core and workers.", "info"),
    Option(
        "DB_CONNECTION_POOL_SIZE",
        "How many database connections core keeps open.",
        "",
        r"[1-9]\d{0,3}",
        "a number from 1 to 9999",
    ),
    Option(
        "CORS_ORIGIN_REGEX",
        "Other origins that may call the API, as a regular expression in single quotes.",
        "",
    ),
    Option("GEOLOCATION_API_HOST", "The geocoding API that core uses for maps, such as Geoapify's.", ""),
    Option("GEOLOCATION_API_KEY", "The key of the geocoding API.", ""),
    Option("OPENAI_API_KEY", "The OpenAI key, for chat bots in apps.", ""),
    Option("OPENAI_ORG_ID", "The id of the OpenAI organization.", ""),
    Option("OPENAI_GPT_VERSION", "The OpenAI model for chat bots that do not name one.", ""),
    Option("ADMIN_SHARED_SECRET", "Shared between core and the admin, from Graasp 2.14 on.", ""),
    Option("SENTRY_DSN", "The address that core reports errors to (Sentry).", ""),
    Option("SENTRY_ENV", "The name of this site in the reported errors.", ""),
)

ALL: tuple[Setting | Option, ...] = (*SETTINGS, *OPTIONS)
"""Every key that means something in a `.env`, in the order in which `init` writes it."""

OWN_VARIABLES = frozenset(
    {"GRAASP_VERSION", "GRAASP_STACK"}
    | {"GRAASP_DB_IMAGE", "GRAASP_DB_VOLUME", "GRAASP_DB_INSTEAD_OF", "GRAASP_DB_UPGRADED_TO"}
    | {"GRAASP_CLIENT", "GRAASP_SECRETS", "GRAASP_BIND", "GRAASP_PUBLIC_HOST", "GRAASP_NAMES"}
    | {"GRAASP_INSIDE_AUTHORITY", "GRAASP_INSIDE_INSTEAD_OF", "GRAASP_NODE_OPTIONS"}
    | {"GRAASP_IMAGE_CLASSIFIER", "GRAASP_NO_PROXY"}
    | {"GRAASP_DATABASE_TLS", "GRAASP_DATABASE_SSL", "GRAASP_DATABASE_CA", "GRAASP_DATABASE_IS"}
    | {"GRAASP_MIGRATION_PASSWORD"}
)
"""What graasp-local itself tells Compose (.graasp-local/version.env); not to be set by hand."""

SETTINGS_PREFIX = "GRAASP_SETTINGS_"
"""With a service's name after it: the variable with the digest of that service's settings, also set by graasp-local."""

UMAMIS_OWN = frozenset({"UMAMI_DB_PASSWORD", "UMAMI_APP_SECRET"})
"""What umami alone is recreated for: it migrates its own database at every start, so it is left alone otherwise."""

WHERE_EXTERNAL = frozenset(
    {"DATABASE", "DATABASE_HOST", "DATABASE_PORT", "DATABASE_SSL", "GRAASP_DATABASE_TLS", "GRAASP_DATABASE_CA"}
)
"""Where an external database is, and how it is reached: umami is recreated for these too."""

SWITCHES_STACK_DATABASE_ON = "stack-database"
"""The profile of the service db where the database is external: nothing switches it on."""


def is_own(key: str) -> bool:
    """Whether graasp-local sets this variable itself."""
    return key in OWN_VARIABLES or key.startswith(SETTINGS_PREFIX)


def is_secret(key: str) -> bool:
    """Whether the value of this key stays hidden: by the table, and by its name for a key that is not in it."""
    for setting in SETTINGS:
        if setting.key == key:
            return setting.secret is not None
    return re.search(r"SECRET|PASSWORD|TOKEN|KEY$|CREDENTIAL|CONNECTION", key) is not None
