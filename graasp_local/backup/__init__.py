"""Copies of a site outside its database server: taken, listed, verified, kept, and read back by a restore.

`manifest.py`, `names.py` and `retention.py` decide and are pure; `store.py` keeps the files; `take.py`, `check.py` and
`dumps.py` move the data. What is put in place of what, and when, is a plan (plan_restore.py), carried out like every
other.
"""
