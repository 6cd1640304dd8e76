"""Jobs of negsift as text: one a line, or one in full."""

import time
from collections.abc import Iterable

from ray.job_submission import JobDetails, JobSubmissionClient

from negsift.common.errors import BadInput, UnknownName
from negsift.deploy.text_table import text_table

_SHOWN = ("recipe", "strategy", "target", "over", "git")


def table(jobs: Iterable[JobDetails]) -> str:
    """The jobs of negsift, the newest first: name, state, start, duration, and what they are."""
    own = sorted(filter(is_own, jobs), key=lambda job: job.start_time or 0, reverse=True)
    return "\n".join(text_table("job state started took what", list(map(_row, own)))) or "no jobs of negsift"


def describe(job: JobDetails) -> str:
    """A job's facts, one a line."""
    facts = dict(zip(("job", "state", "started", "took"), _row(job), strict=False)) | dict(job.metadata or {})
    facts |= {"command": job.entrypoint, "said": " ".join((job.message or "").split())}
    if job.driver_exit_code is not None:
        facts["exit code"] = str(job.driver_exit_code)
    return "\n".join(f"{name}: {value}" for name, value in facts.items() if value)


def require_job(client: JobSubmissionClient, name: str) -> JobDetails:
    """The job of that name. Raises UnknownName, which lists those that there are, and BadInput where there are none."""
    jobs = {job.submission_id: job for job in client.list_jobs() if is_own(job)}
    if not jobs:
        raise BadInput(f"job {name!r}, and no jobs of negsift at all", "one that was submitted", "submit one first")
    if name not in jobs:
        raise UnknownName("job", name, [key for key in jobs if key])
    return jobs[name]


def is_own(job: JobDetails) -> bool:
    """Whether `negsift submit` has submitted the job."""
    return bool(job.submission_id) and str(job.submission_id).startswith("negsift-")


def _row(job: JobDetails) -> tuple[str, ...]:
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.start_time / 1000)) if job.start_time else ""
    ended = job.end_time or time.time() * 1000
    took = f"{(ended - job.start_time) / 1000:,.0f} s" if job.start_time else ""
    facts = job.metadata or {}
    what = " ".join(f"{key}={facts[key]}" for key in _SHOWN if facts.get(key))
    return str(job.submission_id), job.status.value.lower(), started, took, what
