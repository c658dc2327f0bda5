"""One video for each slogan of a campaign; one that is refused does not hold up the others."""

from __future__ import annotations

from airflow.sdk import DAG, task, task_group

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

with DAG(
    "campaign",
    schedule=None,
    params={"slogans": ["Set sail", "Come home"]},
    default_args={"retries": 2},
):

    @task
    def prompts(params: dict[str, list[str]]) -> list[str]:
        """Write a prompt for each slogan of the run."""
        return [f"A paper boat sails past a sign that says: {slogan}" for slogan in params["slogans"]]

    @task_group
    def film(prompt: str) -> None:
        """Order one video and land it."""
        video = OrVideoSubmitOperator(
            task_id="submit",
            model="google/veo-3.1-lite",
            prompt=prompt,
            duration=4,
            resolution="720p",
            generate_audio=False,
            deferrable=True,
            max_cost_usd=0.50,
        )
        OrVideoDownloadOperator(
            task_id="download",
            job=video.output,
            destination="{{ var.value.campaign_folder }}{job_id}.{ext}",
        )

    film.expand(prompt=prompts())
