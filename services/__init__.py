"""Who runs: the worker, the gateway, the CLI and the local platform. Services never meet."""
