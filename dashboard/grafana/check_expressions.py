#!/usr/bin/env python3
"""Asks a running Prometheus for every expression of every board and names those without data.

Run it while, or shortly after, a sweep runs:
  check_expressions.py --prometheus http://127.0.0.1:9090
Exit code 0: every expression has data. 1: some have none, or are wrong. 2: Prometheus is not reachable.
An instant panel is asked for now, a time series for the last --minutes, as Grafana would ask.
Only the standard library is used.
"""

import argparse
import json
import math
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BOARDS = pathlib.Path(__file__).resolve().parent / "boards"


def expressions():
    """Yields (board, panel, expression, instant) of every target."""
    for path in sorted(BOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield path.name, panel["title"], target["expr"], target.get("instant", False)


def ask(base, path, parameters):
    url = f"{base.rstrip('/')}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        # Prometheus explains a wrong expression in the body of its answer.
        return json.loads(error.read().decode("utf-8", "replace") or "{}")


def has_number(result):
    """Whether any sample of any series is a number (0/0 gives NaN, which no panel can draw)."""
    for series in result:
        samples = series.get("values") or [series["value"]]
        if any(math.isfinite(float(value)) for _, value in samples):
            return True
    return False


def fault_of(base, expression, instant, minutes):
    """Why the expression shows nothing, or None."""
    now = time.time()
    if instant:
        answer = ask(base, "query", {"query": expression, "time": now})
    else:
        answer = ask(base, "query_range", {"query": expression, "start": now - 60 * minutes, "end": now, "step": 5})
    if answer.get("status") != "success":
        return answer.get("error", "no answer")
    return None if has_number(answer["data"]["result"]) else "no data"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", required=True, metavar="URL", help="e.g. http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=30, help="how far back a time series is asked (default 30)")
    arguments = parser.parse_args()
    checked, faults = 0, 0
    try:
        for board, panel, expression, instant in expressions():
            checked += 1
            fault = fault_of(arguments.prometheus, expression, instant, arguments.minutes)
            if fault is not None:
                faults += 1
                print(f"{board}: {panel}: {fault}: {expression}")
    except (urllib.error.URLError, OSError) as error:
        print(f"{arguments.prometheus}: not reachable: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{checked - faults} of {checked} expressions have data")
    sys.exit(1 if faults or checked == 0 else 0)


if __name__ == "__main__":
    main()
