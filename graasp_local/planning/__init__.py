"""What is decided: states, steps, the plans that are made of them, and how long they will take. Pure."""
