"""The one real implementation of the engine: Docker, through its API to read and through Compose to change.

Nothing outside this package imports docker or python_on_whales, and nothing in it decides what should be done. Its
rooms, from the bottom up: reach, containers, images and nginx, compose, swarm, site, data. Imports go down only.
"""
