"""``airflow orvideo …``: what a person or a script asks and does outside of a DAG."""
