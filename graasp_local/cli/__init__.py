"""The command line: one file per verb, wiring in context.py. A verb reads, plans or operates, but decides nothing."""
