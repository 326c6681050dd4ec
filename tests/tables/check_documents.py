#!/usr/bin/env python3
"""Strict checks of the golden documents: check_documents.py html|latex. Exits with 77 when it cannot look."""
import html.parser
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).parent / "golden"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(html.parser.HTMLParser):
    """Every element closed in order, ids once, scopes on headers, as many columns in each row as in the head."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.open, self.ids, self.labels, self.mistakes = [], [], [], []
        self.width, self.pending, self.spans, self.head = 0, 0, {}, 0
        self.counts = {}

    def say(self, text):
        self.mistakes.append(f"line {self.getpos()[0]}: {text}")

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if len(values) != len(attributes):
            self.say(f"<{tag}> has an attribute twice")
        if "id" in values:
            self.ids.append(values["id"])
        if "aria-labelledby" in values:
            self.labels.append(values["aria-labelledby"])
        if tag in ("script", "iframe", "object") or any(name.startswith("on") for name in values):
            self.say(f"<{tag}> runs something")
        for name in ("src", "href"):
            if name in values and not values[name].startswith("data:"):
                self.say(f"<{tag}> needs another file: {values[name]}")
        if tag == "th" and values.get("scope") not in ("col", "row", "rowgroup"):
            self.say("a <th> without scope")
        if tag == "table":
            self.head, self.spans = 0, {}
        if tag == "tr":
            # Cells that rows above reach down with.
            self.width = sum(1 for left in self.spans.values() if left > 0)
            self.spans = {key: left - 1 for key, left in self.spans.items() if left > 1}
        if tag in ("td", "th"):
            self.width += 1
            rows = int(values.get("rowspan", 1))
            if rows > 1:
                self.spans[(self.getpos(), self.width)] = rows - 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.say(f"</{tag}> closes nothing")
        if tag == "tr":
            self.head = self.head or self.width
            if self.width != self.head:
                self.say(f"a row of {self.width} cells below a head of {self.head}")
        if tag == "tbody" and self.spans:
            self.say("a rowspan reaches beyond its group")

    def handle_data(self, data):
        if "<" in data or ">" in data and self.open[-1] != "style":
            self.say(f"a bare bracket in {data!r}")


def check_html():
    text = (GOLDEN / "tables.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    mistakes = page.mistakes
    if not text.startswith("<!DOCTYPE html>"):
        mistakes.append("no doctype")
    if page.open:
        mistakes.append(f"never closed: {page.open}")
    if len(set(page.ids)) != len(page.ids):
        mistakes.append("an id comes twice")
    mistakes += [f"aria-labelledby names no id: {label}" for label in page.labels if label not in page.ids]
    if page.counts.get("table", 0) == 0 or page.counts.get("caption") != page.counts.get("table"):
        mistakes.append(f"tables and captions: {page.counts}")
    return mistakes


def check_latex():
    tool = shutil.which("pdflatex") or shutil.which("tectonic")
    if tool is None:
        print("skipped: neither pdflatex nor tectonic is installed (Debian: texlive-latex-base)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(GOLDEN / "tables.tex", folder)
        options = ["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"] if "pdflatex" in tool else ["--keep-logs"]
        run = subprocess.run([tool, *options, "tables.tex"], cwd=folder, text=True, errors="replace",
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if run.returncode != 0 or not (pathlib.Path(folder) / "tables.pdf").exists():
            if "booktabs.sty' not found" in run.stdout:
                print("skipped: LaTeX has no booktabs (Debian: texlive-latex-base with texlive-latex-recommended)")
                sys.exit(77)
            return [run.stdout[-3000:]]
        log = (pathlib.Path(folder) / "tables.log").read_text(errors="replace")
        # The hostile name is as wide as it likes; the other tables fit a page of 16 cm.
        wide = re.findall(r"Overfull \\hbox \((\d+)\.\d+pt too wide\)", log)
        return [f"{len(wide)} boxes too wide: {wide}"] if len(wide) > 1 else []


if __name__ == "__main__":
    found = {"html": check_html, "latex": check_latex}[sys.argv[1]]()
    for mistake in found:
        print(mistake)
    sys.exit(1 if found else 0)
