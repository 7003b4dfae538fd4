"""The one real implementation of the engine: Docker, by its API for looking and by Compose for doing.

Nothing outside this package imports docker or python_on_whales, and nothing in it decides what should be done.
"""
