"""``python -m becausal.audit FILE [PUBLIC_KEY]``: verify an export with nothing of the service installed."""

from __future__ import annotations

import sys
from pathlib import Path

from becausal.audit.errors import AuditError
from becausal.audit.note import Verifier
from becausal.audit.verifier import verify_file

_USAGE = 2


def main(arguments: list[str]) -> int:
    """Print the findings; 0 intact, 1 not, 2 unreadable."""
    if len(arguments) not in {1, _USAGE}:
        print("usage: python -m becausal.audit FILE [PUBLIC_KEY]", file=sys.stderr)  # noqa: T201 - a command
        return _USAGE
    try:
        report = verify_file(Path(arguments[0]), Verifier.parse(arguments[1]) if len(arguments) == _USAGE else None)
    except AuditError as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        return _USAGE
    for finding in report.findings:
        print(f"{finding.fault.value}: {finding.text}")  # noqa: T201 - as above
    print(f"{report.entries} entries, {report.documents} documents checked, {report.erased} erased")  # noqa: T201
    return 0 if report.intact else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
