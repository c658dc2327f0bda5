"""What the Airflow UI shows of this provider: pages, and the endpoint that plays landed videos."""
