"""The settings of a site: the table of what `.env` may hold (table.py), and how its text is checked (parse.py)."""

from graasp_local.settings.parse import Settings, parse_settings
from graasp_local.settings.table import SETTINGS, Setting

__all__ = ["SETTINGS", "Setting", "Settings", "parse_settings"]
