"""Walks from beginning to end: which plan is wanted, the loop that carries it out, and the ways back."""
