"""What a team tests its DAGs with: a pytest plugin that brings the simulator, its faults and a run of the DAG.

`plugin.py` has the fixtures. It is loaded in every pytest run of an environment in which this package is installed, so
neither it nor this module imports anything of the provider, of Airflow or of the simulator.
"""
