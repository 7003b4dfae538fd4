"""One screen per file: event in, widget out. What is shown is decided in model.py and drawn in drawing/."""
