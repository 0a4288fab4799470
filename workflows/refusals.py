"""How a refusal travels out of an update: its code is the failure's type, its figures are the details."""

from temporalio.exceptions import ApplicationError

from changeover.domain.problems import PROBLEMS, Problem, from_record, to_record


def as_failure(problem: Problem) -> ApplicationError:
    """Return the failure that carries `problem`."""
    return ApplicationError(str(problem), to_record(problem), type=problem.code, non_retryable=True)


def problem_in(failure: BaseException | None) -> Problem | None:
    """Return the problem that `as_failure` packed, or None when the failure is something else."""
    if isinstance(failure, ApplicationError) and failure.type in PROBLEMS and failure.details:
        return from_record(failure.details[0])
    return None
