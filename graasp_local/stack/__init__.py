"""The compose files: where they are, which service is in which group, what they take from `.env`."""
