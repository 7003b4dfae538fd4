"""What operations report while they happen, kept for the next command: written, read back, and what follows from it."""
