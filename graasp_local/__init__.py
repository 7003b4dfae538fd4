"""graasp-local: run and deploy a self-hosted Graasp."""

__version__ = "0.1.0"
