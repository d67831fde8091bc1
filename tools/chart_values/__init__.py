"""Makes the schema and the documentation of the chart's values, of values.yaml and of the code.

PYTHONPATH=tools .venv/bin/python -m chart_values
"""
