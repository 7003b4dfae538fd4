"""What is wrong with a site and the machine it is on: facts gathered, then judged, each finding with what mends it."""
