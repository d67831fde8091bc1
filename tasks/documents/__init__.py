"""Documents: read, extract, split, embed, store."""
