"""Retrieval: index collections and search them."""
