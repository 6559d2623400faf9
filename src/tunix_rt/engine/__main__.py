"""`python -m tunix_rt.engine <attempt dir>`: do the job that folder describes, then exit 0 with `result.json` written.

What loads JAX is imported once it is known that the job needs it.
"""

import sys
from pathlib import Path

from tunix_rt import jobs
from tunix_rt.engine import cluster, probe


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tunix_rt.engine <attempt dir>\n")
        return 2
    attempt = Path(arguments[0])
    if (asked := probe.asked(attempt)) is not None:
        return probe.run(attempt, asked)
    if (hosts := jobs.hosts(attempt)) > 1:
        return cluster.run(attempt, hosts)
    from tunix_rt.engine import work  # noqa: PLC0415  # seconds and half a gigabyte that a probe does not need

    return work.main(attempt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
