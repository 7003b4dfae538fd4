"""Compose for one site: its verbs, the files that its containers mount, and what a project leaves on the engine."""
