#!/usr/bin/env python3
"""Checks dashboard/ without a running system.

- prometheus.yml and every expression of every board are what Prometheus understands (promtool);
- the committed board is what make_board.py makes, and its panels do not overlap;
- every metric that a board names is one that the coordinator serves (the list below is the contract), with its labels;
- the page is well-formed and loads nothing from elsewhere.
With BITSWEEP_PROMETHEUS=URL, every expression must also return data there.
"""

import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "dashboard"

# Metric -> labels. What coordinator/metrics serves.
METRICS = {
    "bitsweep_stages": {"kind", "state"},
    "bitsweep_stage_duration_seconds_bucket": {"kind", "le"},
    "bitsweep_stage_duration_seconds_sum": {"kind"},
    "bitsweep_stage_duration_seconds_count": {"kind"},
    "bitsweep_stage_results_total": {"kind", "result"},
    "bitsweep_stage_failures_total": {"kind", "failure_class"},
    "bitsweep_workers": {"state"},
    "bitsweep_worker_slots": set(),
    "bitsweep_worker_slots_busy": set(),
    "bitsweep_sweeps": {"state"},
    "bitsweep_cells": {"state"},
    "bitsweep_stale_messages_total": set(),
    "bitsweep_store_commits_total": set(),
    "bitsweep_store_commit_seconds_bucket": {"le"},
    "bitsweep_store_commit_seconds_sum": set(),
    "bitsweep_store_commit_seconds_count": set(),
    "bitsweep_build_info": {"version", "build"},
    "bitsweep_start_time_seconds": set(),
    "bitsweep_blob_bytes_total": {"direction"},
}

faults = []


def check(condition, message):
    if not condition:
        faults.append(message)


def boards():
    paths = sorted((DASHBOARD / "grafana" / "boards").glob("*.json"))
    check(paths, "dashboard/grafana/boards holds no board")
    return [(path, json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def check_metrics(name, title, expression):
    for metric in re.findall(r"\bbitsweep_[a-z_]+", expression):
        check(metric in METRICS, f"{name}: {title}: no metric {metric}: {expression}")
    allowed = set().union(*(METRICS.get(metric, set()) for metric in re.findall(r"\bbitsweep_[a-z_]+", expression)))
    for matchers in re.findall(r"bitsweep_[a-z_]+\{([^}]*)\}", expression):
        for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", matchers):
            check(label in allowed, f"{name}: {title}: no label {label}: {expression}")
    for grouping in re.findall(r"\bby \(([^)]*)\)", expression):
        for label in grouping.split(","):
            check(label.strip() in allowed, f"{name}: {title}: no label {label.strip()}: {expression}")


def check_board(path, board):
    taken = {}
    for panel in board["panels"]:
        grid = panel["gridPos"]
        check(grid["x"] + grid["w"] <= 24, f"{path.name}: {panel['title']}: wider than the board")
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                check((x, y) not in taken, f"{path.name}: {panel['title']} lies over {taken.get((x, y))}")
                taken[(x, y)] = panel["title"]
        check(panel.get("description"), f"{path.name}: {panel['title']}: has no description")
        for target in panel["targets"]:
            check_metrics(path.name, panel["title"], target["expr"])


def check_with_promtool(expressions):
    promtool = shutil.which("promtool")
    if promtool is None:
        print("skipped: promtool is not installed (Debian: prometheus)")
        return
    config = subprocess.run([promtool, "check", "config", str(DASHBOARD / "prometheus" / "prometheus.yml")],
                            capture_output=True, text=True, check=False)
    check(config.returncode == 0, config.stdout + config.stderr)
    # promtool parses expressions as recording rules.
    rules = {"groups": [{"name": "boards", "rules": [
        {"record": f"bitsweep:check:{index}", "expr": expression} for index, expression in enumerate(expressions)]}]}
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump(rules, file)
        file.flush()
        parsed = subprocess.run([promtool, "check", "rules", file.name], capture_output=True, text=True, check=False)
    check(parsed.returncode == 0, parsed.stdout + parsed.stderr)


class Page(html.parser.HTMLParser):
    VOID = {"meta", "link", "br", "img", "input", "hr"}

    def __init__(self):
        super().__init__()
        self.open = []
        self.links = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag):
        check(bool(self.open) and self.open.pop() == tag, f"index.html: </{tag}> does not match")


def check_page():
    web = DASHBOARD / "web"
    page = Page()
    page.feed((web / "index.html").read_text(encoding="utf-8"))
    check(not page.open, f"index.html: not closed: {page.open}")
    for link in page.links:
        local = link.startswith("#") or link.startswith("data:") or (web / link.lstrip("/")).is_file()
        check(local, f"index.html: {link} is not a file of the page")
    for name in ("index.html", "app.js", "style.css"):
        text = (web / name).read_text(encoding="utf-8")
        check("://" not in text, f"{name}: refers to another site")
    script = (web / "app.js").read_text(encoding="utf-8")
    check("innerHTML" not in script and "insertAdjacentHTML" not in script, "app.js: text must never enter as markup")
    node = shutil.which("node")
    if node is None:
        print("skipped: node is not installed: app.js is not parsed")
    else:
        parsed = subprocess.run([node, "--check", str(web / "app.js")], capture_output=True, text=True, check=False)
        check(parsed.returncode == 0, parsed.stderr)


def main():
    expressions = []
    for path, board in boards():
        check_board(path, board)
        expressions += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    made = subprocess.run([sys.executable, str(DASHBOARD / "grafana" / "make_board.py"), "--check"],
                          capture_output=True, text=True, check=False)
    check(made.returncode == 0, made.stderr.strip())
    check_with_promtool(expressions)
    check_page()
    url = os.environ.get("BITSWEEP_PROMETHEUS")
    if url:
        live = subprocess.run([sys.executable, str(DASHBOARD / "grafana" / "check_expressions.py"), "--prometheus", url],
                              capture_output=True, text=True, check=False)
        check(live.returncode == 0, live.stdout + live.stderr)
    for fault in faults:
        print(f"fault: {fault}")
    print(f"{len(expressions)} expressions, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
