"""The record of what operations report as they run: writing it, reading it back, and what follows from it."""
