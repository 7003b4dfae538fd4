"""The command line: one file a verb, wiring in context.py. A verb reads, plans or operations; it holds no decisions."""
