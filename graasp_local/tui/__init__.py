"""The terminal UI: the same core, plans and events as the command line, shown on screens.

    ports.py         what the screens need of the world: a site, its containers, changes, logs
    model.py         frozen snapshots of the site, and what follows from them             pure
    operation_view.py  an operation as its events or its journal tell it                  pure
    log_model.py     lines of logs: severity, filter, bounded memory                      pure
    drawing/         snapshots to lines of text with tones, by width                      pure
    watching.py      the threads' loops: looking when something changes, following logs
    widgets/         a block of lines, a list with a cursor, logs, the key bar
    screens/         one file each: event in, widget out
    app.py           which screen is on, which worker runs

Nothing outside this package imports Textual.
"""
