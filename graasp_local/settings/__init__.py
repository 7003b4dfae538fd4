"""A site's settings: the table of what `.env` may contain, the rules for judging it, and the values once judged."""

from graasp_local.settings.parse import ExternalServer, Settings, Swarm, Tls, parse_settings
from graasp_local.settings.table import ALL, OPTIONS, SETTINGS, Option, Setting

__all__ = [
    "ALL",
    "OPTIONS",
    "SETTINGS",
    "ExternalServer",
    "Option",
    "Setting",
    "Settings",
    "Swarm",
    "Tls",
    "parse_settings",
]
