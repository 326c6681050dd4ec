#include "cli/render/sweep_view.h"

#include <algorithm>
#include <cmath>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "cli/render/table.h"
#include "cli/render/text.h"

#include "proto/contract/stage.h"

namespace bitsweep::cli {
namespace {

constexpr int kStageBarColumns = 10;
constexpr int kKindBarColumns = 16;
constexpr int kSweepBarColumnsMax = 40;

double FractionOf(const v1::RunningStage& stage) {
  return stage.total() > 0
             ? std::clamp(
                   static_cast<double>(stage.done()) / static_cast<double>(stage.total()), 0.0, 1.0)
             : 0.0;
}

std::string Percent(double fraction) {
  // Rounded down: 100% is said only of what is done.
  return absl::StrFormat("%d%%", static_cast<int>(std::floor(fraction * 100)));
}

absl::Duration Elapsed(const v1::SweepSummary& summary, absl::Time now) {
  const absl::Time end = summary.ended_us() > 0 ? absl::FromUnixMicros(summary.ended_us()) : now;
  return end - absl::FromUnixMicros(summary.created_us());
}

Line Header(const v1::SweepStatus& status, absl::Time now) {
  const v1::SweepSummary& summary = status.summary();
  Line line(summary.name(), Style::kBold);
  line.Add(absl::StrCat("  sweep ", summary.sweep(), "  "), Style::kDim);
  line.Add(summary.state(), StyleOfState(summary.state()));
  const bool ended = HasEnded(summary.state());
  line.Add(absl::StrCat(ended ? "  took " : "  ", FormatSpan(Elapsed(summary, now))));
  if (!ended) {
    if (status.eta_seconds() >= 0) {
      line.Add(absl::StrCat("  about ", FormatSpan(absl::Seconds(status.eta_seconds())), " left"));
    }
    line.Add(absl::StrCat("  ", Plural(status.workers(), "worker")),
             status.workers() > 0 ? Style::kPlain : Style::kWarn);
  }
  return line;
}

Line Totals(const v1::SweepStatus& status, const Terminal& terminal) {
  const StageTally all = TallyStages(status);
  const v1::SweepSummary& summary = status.summary();
  const double fraction = FractionDone(status);
  Line text(absl::StrCat("  ",
                         Percent(fraction),
                         "  ",
                         all.succeeded,
                         " of ",
                         Plural(all.total, "stage"),
                         "  ",
                         summary.cells_done(),
                         " of ",
                         Plural(summary.cells(), "cell")));
  if (status.cached() > 0) {
    text.Add(absl::StrCat("  ", status.cached(), " cached"), Style::kDim);
  }
  const int room = std::clamp(terminal.columns - text.width() - 1, 10, kSweepBarColumnsMax);
  const Style style = summary.state() == "succeeded" ? Style::kGood
                      : all.failed > 0               ? Style::kWarn
                                                     : Style::kAccent;
  return Bar(fraction, room, terminal, style).Append(text);
}

Line Number(int count, Style style) {
  return count == 0 ? Line("-", Style::kDim) : Line(absl::StrCat(count), style);
}

void AddKinds(const v1::SweepStatus& status, const Terminal& terminal, std::vector<Line>& lines) {
  const StageTally all = TallyStages(status);
  std::vector<Column> columns = {{"stages"},
                                 {""},
                                 {"done", Align::kRight},
                                 {"running", Align::kRight},
                                 {"ready", Align::kRight},
                                 {"waiting", Align::kRight},
                                 {"failed", Align::kRight}};
  if (all.blocked > 0) {
    columns.push_back({"blocked", Align::kRight});
  }
  if (all.cancelled > 0) {
    columns.push_back({"cancelled", Align::kRight});
  }
  Table table(columns);
  for (const StageKind kind : kStageKinds) {
    const StageTally tally = TallyStages(status, ToString(kind));
    if (tally.total == 0) {
      continue;
    }
    const double done = static_cast<double>(tally.succeeded) / tally.total;
    const Style style = tally.failed > 0                 ? Style::kWarn
                        : tally.succeeded == tally.total ? Style::kGood
                                                         : Style::kAccent;
    std::vector<Line> row = {Line(ToString(kind)),
                             Bar(done, kKindBarColumns, terminal, style),
                             absl::StrCat(tally.succeeded, "/", tally.total),
                             Number(tally.running, Style::kAccent),
                             Number(tally.ready, Style::kPlain),
                             Number(tally.waiting, Style::kPlain),
                             Number(tally.failed, Style::kBad)};
    if (all.blocked > 0) {
      row.push_back(Number(tally.blocked, Style::kWarn));
    }
    if (all.cancelled > 0) {
      row.push_back(Number(tally.cancelled, Style::kDim));
    }
    table.AddRow(std::move(row));
  }
  if (!table.empty()) {
    lines.emplace_back();
    const std::vector<Line> rendered = table.Render(terminal);
    lines.insert(lines.end(), rendered.begin(), rendered.end());
  }
}

void AddRunning(const v1::SweepStatus& status,
                const Terminal& terminal,
                int limit,
                std::vector<Line>& lines) {
  if (status.running().empty() || limit <= 0) {
    return;
  }
  Table table({{"running", Align::kLeft, 1},
               {""},
               {"", Align::kRight},
               {"left", Align::kRight},
               {"worker", Align::kLeft, 2},
               {"now", Align::kLeft, 3}});
  const int shown = std::min(limit, status.running_size());
  for (int i = 0; i < shown; ++i) {
    const v1::RunningStage& stage = status.running(i);
    const bool known = stage.total() > 0;
    std::string phase = stage.phase();
    if (known) {
      absl::StrAppend(&phase,
                      phase.empty() ? "" : " ",
                      FormatCount(stage.done()),
                      "/",
                      FormatCount(stage.total()),
                      stage.unit().empty() ? "" : " ",
                      stage.unit());
    }
    if (stage.attempt() > 1) {
      absl::StrAppend(&phase, phase.empty() ? "" : ", ", "attempt ", stage.attempt());
    }
    table.AddRow({Line(stage.label()),
                  Bar(FractionOf(stage), kStageBarColumns, terminal),
                  known ? Line(Percent(FractionOf(stage))) : Line("-", Style::kDim),
                  stage.eta_seconds() >= 0 ? Line(FormatSpan(absl::Seconds(stage.eta_seconds())))
                                           : Line("-", Style::kDim),
                  Line(stage.worker()),
                  Line(phase, Style::kDim)});
  }
  lines.emplace_back();
  const std::vector<Line> rendered = table.Render(terminal);
  lines.insert(lines.end(), rendered.begin(), rendered.end());
  if (shown < status.running_size()) {
    lines.emplace_back(absl::StrCat("and ", status.running_size() - shown, " more"), Style::kDim);
  }
}

}  // namespace

StageTally TallyStages(const v1::SweepStatus& status, std::string_view kind) {
  StageTally tally;
  for (const v1::StageCount& count : status.stages()) {
    if (!kind.empty() && count.kind() != kind) {
      continue;
    }
    const std::optional<StageState> state = ParseStageState(count.state());
    if (!state.has_value()) {
      continue;  // A state of a newer coordinator: not counted rather than counted wrongly.
    }
    tally.total += count.count();
    switch (*state) {
      case StageState::kWaiting:
        tally.waiting += count.count();
        break;
      case StageState::kBlocked:
        tally.blocked += count.count();
        break;
      case StageState::kReady:
        tally.ready += count.count();
        break;
      case StageState::kLeased:
      case StageState::kRunning:
        tally.running += count.count();
        break;
      case StageState::kSucceeded:
        tally.succeeded += count.count();
        break;
      case StageState::kFailed:
        tally.failed += count.count();
        break;
      case StageState::kCancelled:
        tally.cancelled += count.count();
        break;
    }
  }
  return tally;
}

double FractionDone(const v1::SweepStatus& status) {
  const StageTally all = TallyStages(status);
  const int wanted = all.total - all.cancelled;
  if (wanted <= 0) {
    return HasEnded(status.summary().state()) ? 1.0 : 0.0;
  }
  double done = all.succeeded;
  for (const v1::RunningStage& stage : status.running()) {
    done += FractionOf(stage);
  }
  return std::clamp(done / wanted, 0.0, 1.0);
}

bool HasEnded(std::string_view state) {
  return state == "succeeded" || state == "failed" || state == "cancelled";
}

Style StyleOfState(std::string_view state) {
  if (state == "succeeded" || state == "connected") {
    return Style::kGood;
  }
  if (state == "failed" || state == "lost") {
    return Style::kBad;
  }
  if (state == "paused" || state == "blocked") {
    return Style::kWarn;
  }
  if (state == "running" || state == "planning" || state == "leased") {
    return Style::kAccent;
  }
  return Style::kDim;
}

std::vector<Line> FailureLines(const v1::StageFailure& failure, const Terminal& terminal) {
  Line head(terminal.unicode ? "✗ " : "x ", failure.final() ? Style::kBad : Style::kWarn);
  head.Add(failure.label());
  head.Add(absl::StrCat("  ", failure.failure_class()),
           failure.final() ? Style::kBad : Style::kWarn);
  head.Add(absl::StrCat("  attempt ", failure.attempt()));
  head.Add(failure.worker().empty() ? "" : absl::StrCat(" on ", failure.worker()));
  head.Add(failure.final() ? "" : ", will run again", Style::kDim);
  head.Add(absl::StrCat("  ", ShortKey(failure.stage())), Style::kDim);
  std::vector<Line> lines = {head};
  const std::string first = failure.message().substr(0, failure.message().find('\n'));
  if (!first.empty()) {
    lines.push_back(Line("  ").Add(first));
  }
  return lines;
}

std::vector<Line> SweepView(const v1::SweepStatus& status,
                            const Terminal& terminal,
                            absl::Time now,
                            const ViewLimits& limits) {
  std::vector<Line> lines = {Header(status, now), Totals(status, terminal)};
  AddKinds(status, terminal, lines);
  AddRunning(status, terminal, limits.running, lines);
  if (!status.failures().empty() && limits.failures > 0) {
    lines.emplace_back();
    lines.emplace_back("failures, newest first", Style::kDim);
    const int shown = std::min(limits.failures, status.failures_size());
    for (int i = 0; i < shown; ++i) {
      const std::vector<Line> failure = FailureLines(status.failures(i), terminal);
      lines.insert(lines.end(), failure.begin(), failure.end());
    }
    if (shown < status.failures_size()) {
      lines.emplace_back(absl::StrCat("and ", status.failures_size() - shown, " more"),
                         Style::kDim);
    }
  }
  if (!status.notes().empty()) {
    lines.emplace_back();
    for (const std::string& note : status.notes()) {
      lines.push_back(Line("! ", Style::kWarn).Add(note));
    }
  }
  return lines;
}

std::string SweepLine(const v1::SweepStatus& status) {
  const StageTally all = TallyStages(status);
  const v1::SweepSummary& summary = status.summary();
  std::string line = absl::StrCat(summary.name(),
                                  ": ",
                                  summary.state(),
                                  ", ",
                                  all.succeeded,
                                  " of ",
                                  Plural(all.total, "stage"),
                                  ", ",
                                  summary.cells_done(),
                                  " of ",
                                  Plural(summary.cells(), "cell"));
  if (all.running > 0) {
    absl::StrAppend(&line, ", ", all.running, " running");
  }
  if (all.failed > 0) {
    absl::StrAppend(&line, ", ", all.failed, " failed");
  }
  if (!HasEnded(summary.state())) {
    if (status.workers() == 0) {
      absl::StrAppend(&line, ", no workers");
    }
    if (status.eta_seconds() >= 0) {
      absl::StrAppend(&line, ", about ", FormatSpan(absl::Seconds(status.eta_seconds())), " left");
    }
  }
  return line;
}

}  // namespace bitsweep::cli
