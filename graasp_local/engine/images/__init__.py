"""Images on the engine and in registries: found, pulled, built, completed, kept, and what is inside them.

Decides neither which version is wanted nor how long an image is needed.
"""
