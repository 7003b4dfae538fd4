"""The only package that talks to Postgres: SQL over its own connections, as far as operations need it."""
