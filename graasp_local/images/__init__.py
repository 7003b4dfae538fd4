"""Images: which image exactly stands for a version, what it is built from, and a version's images as one file."""
