"""From snapshots to lines of text with tones, for a given width. Pure: what a screen shows can be tested as text."""
