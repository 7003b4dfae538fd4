"""How the Docker engine is reached: by which address, in which version of its API, with whose login, through what.

Also what every call needs: a client, and the engine's errors in plain words.
"""
