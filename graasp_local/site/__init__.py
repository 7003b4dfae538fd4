"""A site: where its files are, what is written into it, how it is created, checked and given new secrets."""
