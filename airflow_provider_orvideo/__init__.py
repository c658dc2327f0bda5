"""Airflow provider for OpenRouter's asynchronous video generation API.

Nothing is imported here: Airflow loads this package in every process that discovers providers.
"""

__version__ = "0.1.0"
