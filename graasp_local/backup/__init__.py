"""Copies of a site outside its database server: taken, listed, verified, expired, and read by a restore.

`manifest.py`, `names.py` and `retention.py` decide and are pure; `store.py` keeps the files; `take.py`, `check.py` and
`dumps.py` move the data. What a restore replaces, and when, is planned by plan_restore.py and carried out like any
other plan.
"""
