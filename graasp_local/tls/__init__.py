"""Certificates: whether one can be used, got from an authority by ACME, put in place under visitors."""
