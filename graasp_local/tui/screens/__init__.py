"""One screen a file: an event in, a widget out. What is shown is decided in model.py and drawn in drawing/."""
