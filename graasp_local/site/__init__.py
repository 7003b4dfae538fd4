"""A site: where everything of it is, what is written into it, how it is made, checked and given new secrets."""
