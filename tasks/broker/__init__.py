"""How lanes lie in Redis. Everything that knows a key or a command is in this folder."""
