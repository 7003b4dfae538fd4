"""The terminal UI: the same core, plans and events as the command line, shown on screens.

    ports.py         what the screens need from outside: a site, its containers, changes, logs
    model.py         frozen snapshots of the site, and what follows from them             pure
    operation_view.py  an operation, from its events or its journal                       pure
    log_model.py     log lines: severity, filter, bounded memory                          pure
    drawing/         from snapshots to lines of text with tones, for a given width        pure
    watching.py      the threads' loops: observing on changes, reading usage, following operations
    widgets/         a block of lines, a list with a cursor, logs, the key bar
    screens/         one file each: event in, widget out
    verbs_done.py    what each verb does: which screen it opens, what a thread does
    app.py           what was observed last, which worker runs

Nothing outside this package imports Textual.
"""
