"""nginx of a site: the gate in it, the connections it works on, and the site as visitors reach it."""
