"""Images: which exactly stands for a version, what it is built from, a version's images as one file."""
