"""The one front door, `laneway`. It opens a service only when asked to run it."""
