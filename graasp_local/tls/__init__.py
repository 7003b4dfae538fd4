"""Certificates: checked, obtained from an authority by ACME, replaced without interrupting visitors."""
