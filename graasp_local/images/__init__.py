"""Images: exactly which image stands for a version, what it is built from, and a version's images as one file."""
