"""Where everything is decided: states, steps, the plans made of them, and how long they will take. Pure."""
