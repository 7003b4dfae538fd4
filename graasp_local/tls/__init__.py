"""Certificates: whether one is usable, obtained from an authority by ACME, replaced without interrupting visitors."""
