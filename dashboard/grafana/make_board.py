#!/usr/bin/env python3
"""Writes boards/study-progress.json, the Grafana board of a study's progress.

The board is code so that a change of a metric's name is one line in a diff; the JSON is committed so that Grafana needs
nothing but the file. `--check` fails when the two differ.
"""

import argparse
import json
import pathlib
import sys

BOARD = pathlib.Path(__file__).resolve().parent / "boards" / "study-progress.json"
DATASOURCE = {"type": "prometheus", "uid": "bitsweep-prometheus"}

# One colour a state, the same in every panel.
STATE_COLOURS = {
    "succeeded": "#3f8f5b",
    "running": "#3274d9",
    "leased": "#6ea6ee",
    "ready": "#8f8f8f",
    "waiting": "#bdbdbd",
    "pending": "#bdbdbd",
    "planning": "#6ea6ee",
    "paused": "#c9a227",
    "blocked": "#d98032",
    "failed": "#c4314b",
    "cancelled": "#5a5a5a",
    "connected": "#3f8f5b",
    "lost": "#c4314b",
}


def state_overrides():
    return [
        {
            "matcher": {"id": "byName", "options": state},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for state, colour in STATE_COLOURS.items()
    ]


def target(expression, legend="", instant=False):
    return {
        "datasource": DATASOURCE,
        "expr": expression,
        "legendFormat": legend or "__auto",
        "instant": instant,
        "range": not instant,
    }


def panel(kind, title, description, targets, *, unit="short", width=8, height=8, options=None, custom=None, by_state=False):
    for index, entry in enumerate(targets):
        entry["refId"] = chr(ord("A") + index)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": custom or {}},
            "overrides": state_overrides() if by_state else [],
        },
        "options": options or {},
        "size": (width, height),
    }


STACKED = {"drawStyle": "line", "fillOpacity": 70, "lineWidth": 0, "stacking": {"mode": "normal"}}
STAT = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "area"}
LEGEND = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}


def panels():
    return [
        panel("stat", "Cells done", "Cells whose every verdict is in, of all cells that are not cancelled.",
              [target('sum(bitsweep_cells{state="succeeded"})', "done"),
               target('sum(bitsweep_cells{state!="cancelled"})', "all")],
              width=5, height=4, options=STAT),
        panel("gauge", "Stages done", "Succeeded stages of all that are not cancelled.",
              [target('sum(bitsweep_stages{state="succeeded"}) / '
                      'clamp_min(sum(bitsweep_stages{state!="cancelled"}), 1)', "done")],
              unit="percentunit", width=4, height=4,
              options={"reduceOptions": {"calcs": ["lastNotNull"]}, "showThresholdMarkers": False}),
        panel("stat", "Sweeps", "Sweeps by state; states without a sweep are left out.",
              [target("sum by (state) (bitsweep_sweeps) > 0", "{{state}}")],
              width=5, height=4, options=STAT, by_state=True),
        panel("stat", "Workers connected", "Workers with an open session.",
              [target('sum(bitsweep_workers{state="connected"})', "connected")],
              width=3, height=4, options=STAT),
        panel("gauge", "Slots busy", "CPU slots that run a stage, of all that workers offer.",
              [target("sum(bitsweep_worker_slots_busy) / clamp_min(sum(bitsweep_worker_slots), 1)", "busy")],
              unit="percentunit", width=4, height=4,
              options={"reduceOptions": {"calcs": ["lastNotNull"]}, "showThresholdMarkers": False}),
        panel("stat", "Coordinator up for", "Time since the coordinator started.",
              [target("time() - bitsweep_start_time_seconds", "up")],
              unit="s", width=3, height=4, options=STAT),
        panel("timeseries", "Stages by state", "Every stage of every sweep that is not forgotten. It should turn green.",
              [target("sum by (state) (bitsweep_stages) > 0", "{{state}}")],
              width=12, height=9, options=LEGEND, custom=STACKED, by_state=True),
        panel("bargauge", "Stages not finished, by kind", "Where the work is: waiting, ready, leased and running.",
              [target('sum by (kind) (bitsweep_stages{state=~"waiting|ready|leased|running"})', "{{kind}}", instant=True)],
              width=6, height=9, options={"orientation": "horizontal", "displayMode": "basic"}),
        panel("timeseries", "Cells by state", "A cell is succeeded when its table entry is final.",
              [target("sum by (state) (bitsweep_cells)", "{{state}}")],
              width=6, height=9, options=LEGEND, custom=STACKED, by_state=True),
        panel("timeseries", "Stages finished per minute", "Successes by kind, over the last two minutes.",
              [target('60 * sum by (kind) (rate(bitsweep_stage_results_total{result="succeeded"}[2m]))', "{{kind}}")],
              width=8, options=LEGEND),
        panel("timeseries", "Stage duration, median and 95th percentile",
              "From lease to result, by kind, over the last ten minutes.",
              [target("histogram_quantile(0.5, sum by (le, kind) (rate(bitsweep_stage_duration_seconds_bucket[10m])))",
                      "{{kind}} median"),
               target("histogram_quantile(0.95, sum by (le, kind) (rate(bitsweep_stage_duration_seconds_bucket[10m])))",
                      "{{kind}} 95%")],
              unit="s", width=8, options=LEGEND),
        panel("timeseries", "Time spent by kind", "Seconds of stage time per second: how many stages of a kind ran at once.",
              [target("sum by (kind) (rate(bitsweep_stage_duration_seconds_sum[5m]))", "{{kind}}")],
              width=8, options=LEGEND, custom=STACKED),
        panel("table", "Failures by class", "Attempts that failed since the coordinator started. An empty table is good news: "
              "the total beside it says that it is counted.",
              [target("sum by (kind, failure_class) (bitsweep_stage_failures_total) > 0 or "
                      "label_replace(label_replace(sum(bitsweep_stage_failures_total) == 0, "
                      '"kind", "all", "", ""), "failure_class", "none", "", "")', instant=True)],
              width=8, options={"showHeader": True}),
        panel("timeseries", "Failures per minute", "By class, over the last five minutes. Infrastructure classes are retried.",
              [target("60 * sum by (failure_class) (rate(bitsweep_stage_failures_total[5m]))", "{{failure_class}}")],
              width=8, options=LEGEND),
        panel("timeseries", "Workers by state", "A lost worker's stages have gone back to ready.",
              [target("sum by (state) (bitsweep_workers)", "{{state}}")],
              width=8, options=LEGEND, custom=STACKED, by_state=True),
        panel("timeseries", "Database commits", "Transactions per second: each is one fsync for many events.",
              [target("sum(rate(bitsweep_store_commits_total[2m]))", "commits/s")],
              unit="ops", width=6, options=LEGEND),
        panel("timeseries", "Commit time, 95th percentile", "What a submit or a result waits for.",
              [target("histogram_quantile(0.95, sum by (le) (rate(bitsweep_store_commit_seconds_bucket[10m])))", "95%"),
               target("sum(rate(bitsweep_store_commit_seconds_sum[10m])) / "
                      "clamp_min(sum(rate(bitsweep_store_commit_seconds_count[10m])), 1e-9)", "mean")],
              unit="s", width=6, options=LEGEND),
        panel("timeseries", "Blob bytes", "Files that travelled between coordinator, clients and workers.",
              [target("sum by (direction) (rate(bitsweep_blob_bytes_total[2m]))", "{{direction}}")],
              unit="Bps", width=6, options=LEGEND),
        panel("stat", "Stale messages and build", "Messages of attempts that were no longer current: dropped, never applied.",
              [target("sum(bitsweep_stale_messages_total)", "stale messages"),
               target("sum by (version, build) (bitsweep_build_info)", "{{version}} {{build}}")],
              width=6, options=STAT),
    ]


def place(entries):
    """Lays panels out left to right in rows of 24 columns."""
    x = y = row_height = 0
    placed = []
    for number, entry in enumerate(entries, start=1):
        width, height = entry.pop("size")
        if x + width > 24:
            x, y, row_height = 0, y + row_height, 0
        placed.append({"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}, **entry})
        x, row_height = x + width, max(row_height, height)
    return placed


def board():
    return {
        "uid": "bitsweep-study-progress",
        "title": "bitsweep: study progress",
        "tags": ["bitsweep"],
        "schemaVersion": 38,
        "version": 1,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "30s", "1m"]},
        "annotations": {"list": []},
        "templating": {"list": []},
        "panels": place(panels()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the committed JSON differs")
    arguments = parser.parse_args()
    text = json.dumps(board(), indent=2, ensure_ascii=False) + "\n"
    if arguments.check:
        if BOARD.read_text(encoding="utf-8") != text:
            sys.exit(f"{BOARD}: differs from what make_board.py makes; run it and commit the result")
        return
    BOARD.parent.mkdir(parents=True, exist_ok=True)
    BOARD.write_text(text, encoding="utf-8")
    print(f"wrote {BOARD}")


if __name__ == "__main__":
    main()
