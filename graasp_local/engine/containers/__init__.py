"""Containers and networks on the engine: listed, observed as services, entered, and made to read something.

Nothing here runs Compose, and nothing knows a Swarm.
"""
