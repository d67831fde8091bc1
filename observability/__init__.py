"""How it is seen: metrics, traces, logs and health. It knows no task and no service.

Nothing here reads a setting: every value arrives as an argument.
"""
