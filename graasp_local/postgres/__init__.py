"""The only package that talks to Postgres: SQL over a connection of its own, for what operations need of it."""
