"""Turns snapshots into lines of text with tones, for a given width. Pure, so that screens can be tested as text."""
