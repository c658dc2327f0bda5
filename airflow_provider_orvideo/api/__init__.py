"""OpenRouter's video generation API, sync and async on httpx. Knows nothing of Airflow."""
