"""The endpoints, a file per subject. A file's `routes()` makes its router."""
