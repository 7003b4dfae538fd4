"""What is wrong with a site and its machine: facts are gathered, then judged, and each finding says how to fix it."""
