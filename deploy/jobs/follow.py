"""A job's log as it comes, and how the job ended."""

import asyncio
import sys

from ray.job_submission import JobStatus, JobSubmissionClient

from negsift.common.errors import Interrupted, ServiceError


def follow(client: JobSubmissionClient, job: str, where: str) -> int:
    """Print the job's log until it has ended; gives the exit code of its command.

    Raises Interrupted on Ctrl-C, after which the job runs on, and ServiceError if it was stopped or could not run.
    """
    try:
        asyncio.run(_print_log(client, job))
    except KeyboardInterrupt:
        told = f"follow it with `negsift jobs logs {job}{where}`, stop it with `negsift jobs stop {job}{where}`"
        raise Interrupted(f"job {job} runs on; {told}") from None
    info = client.get_job_info(job)
    if info.status == JobStatus.SUCCEEDED:
        return 0
    if info.status == JobStatus.STOPPED:
        raise ServiceError(f"job {job} was stopped", "submit the same command again; it resumes")
    if info.driver_exit_code in (None, 0):
        raise ServiceError(f"job {job} failed ({' '.join((info.message or '').split())})", "see the cluster's log")
    return info.driver_exit_code


async def _print_log(client: JobSubmissionClient, job: str) -> None:
    async for text in client.tail_job_logs(job):
        sys.stdout.write(text)
        sys.stdout.flush()
