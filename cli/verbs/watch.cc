// bitsweep watch [SWEEP]: live progress until the sweep has ended.
#include "cli/verbs/watch.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/render/json.h"
#include "cli/render/live.h"
#include "cli/render/sweep_view.h"
#include "cli/render/text.h"
#include "cli/status_feed.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

// How soon Ctrl-C is noticed, and how often the elapsed time moves on.
constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kRedrawInterval = absl::Milliseconds(500);
// Without a terminal the output is a log: nobody wants it longer than it must be.
constexpr absl::Duration kPlainInterval = absl::Seconds(5);

/// One of the ways to show what happens.
class Display {
 public:
  virtual ~Display() = default;
  virtual void Show(const StatusFeed::View& view) = 0;
  /// The last call: what stays to be seen when the sweep has ended or the user leaves.
  virtual void Close(const StatusFeed::View& view) = 0;
};

class LiveDisplay : public Display {
 public:
  explicit LiveDisplay(Context& context) : context_(context), block_(context.environment().out) {}

  void Show(const StatusFeed::View& view) override {
    const absl::Time now = context_.Now();
    if (view.updates == drawn_updates_ && view.connected == drawn_connected_ &&
        now - drawn_ < kRedrawInterval) {
      return;
    }
    drawn_updates_ = view.updates;
    drawn_connected_ = view.connected;
    drawn_ = now;
    Draw(view, /*last=*/false);
  }

  void Close(const StatusFeed::View& view) override {
    Draw(view, /*last=*/true);
    block_.Finish();
  }

 private:
  void Draw(const StatusFeed::View& view, bool last) {
    const auto& look_again = context_.environment().look_again;
    Terminal terminal = look_again ? look_again() : context_.terminal();
    std::vector<Line> lines;
    if (!view.status.has_value()) {
      lines.emplace_back("connecting…", Style::kDim);
    } else {
      lines = View(*view.status, terminal, last);
    }
    if (!last) {
      lines.emplace_back();
      lines.push_back(Footer(view));
    }
    block_.Draw(lines, terminal);
  }

  // Fits the height: failures and running stages give way, the header and the kinds never do.
  std::vector<Line> View(const v1::SweepStatus& status, const Terminal& terminal, bool last) {
    const int room = terminal.rows - 3 - (last ? 0 : 2);
    ViewLimits limits{.running = status.running_size(),
                      .failures = std::min(5, status.failures_size())};
    while (true) {
      std::vector<Line> lines = SweepView(status, terminal, context_.Now(), limits);
      if (static_cast<int>(lines.size()) <= room || (limits.running <= 1 && limits.failures <= 1)) {
        return lines;
      }
      if (limits.running > 4 || limits.failures <= 1) {
        --limits.running;
      } else {
        --limits.failures;
      }
    }
  }

  Line Footer(const StatusFeed::View& view) {
    if (view.status.has_value() && !view.connected && !view.finished) {
      return Line("! the coordinator is away; trying to reach it again…", Style::kWarn);
    }
    Line line;
    if (view.reconnections > 0) {
      line.Add(absl::StrCat(
                   "reconnected",
                   view.reconnections > 1 ? absl::StrCat(" ", view.reconnections, " times") : "",
                   "  "),
               Style::kWarn);
    }
    return line.Add("Ctrl-C detaches, the sweep goes on", Style::kDim);
  }

  Context& context_;
  LiveBlock block_;
  int drawn_updates_ = -1;
  bool drawn_connected_ = false;
  absl::Time drawn_ = absl::InfinitePast();
};

constexpr std::string_view kAway = "the coordinator is away; trying to reach it again";

class PlainDisplay : public Display {
 public:
  explicit PlainDisplay(Context& context) : context_(context) {}

  void Show(const StatusFeed::View& view) override { Write(view, /*last=*/false); }
  void Close(const StatusFeed::View& view) override { Write(view, /*last=*/true); }

 private:
  void Write(const StatusFeed::View& view, bool last) {
    if (!view.status.has_value()) {
      return;
    }
    const absl::Time now = context_.Now();
    if (view.reconnections > reconnections_) {
      if (connected_) {  // It went and came between two looks.
        Say(now, kAway);
      }
      Say(now, "the coordinator is back");
      reconnections_ = view.reconnections;
      connected_ = true;
    }
    if (connected_ && !view.connected && !view.finished) {
      Say(now, kAway);
      connected_ = false;
    }
    if (!connected_) {
      return;  // Nothing new can have come.
    }
    WriteFailures(*view.status, now);
    const std::string line = SweepLine(*view.status);
    const std::string& state = view.status->summary().state();
    if (line != line_ && (state != state_ || last || now - written_ >= kPlainInterval)) {
      Say(now, line);
      line_ = line;
      state_ = state;
      written_ = now;
    }
  }

  void WriteFailures(const v1::SweepStatus& status, absl::Time now) {
    for (int i = status.failures_size() - 1; i >= 0; --i) {
      const v1::StageFailure& failure = status.failures(i);
      if (!failures_.insert({failure.stage(), failure.attempt()}).second) {
        continue;
      }
      const std::vector<Line> lines = FailureLines(failure, context_.terminal());
      std::string text = lines.front().Render(Terminal{});
      if (lines.size() > 1) {
        absl::StrAppend(&text, ":", lines[1].Render(Terminal{}).substr(1));
      }
      Say(now, text);
    }
  }

  void Say(absl::Time now, std::string_view text) {
    context_.environment().out << absl::FormatTime("%H:%M:%S ", now, absl::LocalTimeZone()) << text
                               << '\n'
                               << std::flush;
  }

  Context& context_;
  bool connected_ = true;
  int reconnections_ = 0;
  std::string line_;
  std::string state_;
  absl::Time written_ = absl::InfinitePast();
  std::set<std::pair<std::string, int>> failures_;
};

class JsonDisplay : public Display {
 public:
  explicit JsonDisplay(Context& context) : context_(context) {}
  void Show(const StatusFeed::View& view) override {
    if (view.status.has_value() && view.updates != written_) {
      written_ = view.updates;
      context_.environment().out
          << ToJson(*view.status).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
          << '\n'
          << std::flush;
    }
  }
  void Close(const StatusFeed::View& view) override { Show(view); }

 private:
  Context& context_;
  int written_ = 0;
};

std::unique_ptr<Display> MakeDisplay(Context& context) {
  if (context.json()) {
    return std::make_unique<JsonDisplay>(context);
  }
  if (context.terminal().live) {
    return std::make_unique<LiveDisplay>(context);
  }
  return std::make_unique<PlainDisplay>(context);
}

// What to do next, once the sweep has ended.
void SayWhatNext(Context& context, const v1::SweepStatus& status) {
  if (context.json()) {
    return;
  }
  const v1::SweepSummary& summary = status.summary();
  if (summary.state() == "succeeded") {
    context.Remark(absl::StrCat("Its tables: bitsweep tables ", summary.sweep()));
  } else if (summary.state() == "failed") {
    const std::string why =
        status.failures().empty()
            ? absl::StrCat("bitsweep status ", summary.sweep())
            : absl::StrCat("bitsweep logs ", ShortKey(status.failures(0).stage()));
    context.Remark(absl::StrCat(
        "Why: ", why, "; run the failed stages again: bitsweep retry ", summary.sweep()));
  }
}

struct WatchOptions {
  std::string sweep = "latest";
  double give_up_after = 600;
};

}  // namespace

absl::StatusOr<ExitCode> FollowSweep(Context& context,
                                     const std::string& sweep,
                                     absl::Duration give_up_after) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  const InterruptScope interrupt;
  const std::unique_ptr<Display> display = MakeDisplay(context);
  StatusFeed feed(*client, sweep, {.give_up_after = give_up_after});
  StatusFeed::View view;
  while (!view.finished && !interrupt.interrupted()) {
    view = feed.Wait(kTick);
    if (!view.finished || view.status.has_value()) {
      display->Show(view);
    }
  }
  if (view.status.has_value() || interrupt.interrupted()) {
    display->Close(view);
  }
  if (!view.finished) {
    const std::string back =
        view.status.has_value() ? absl::StrCat(view.status->summary().sweep()) : sweep;
    context.Remark(
        absl::StrCat("Detached; the sweep goes on. Come back with: bitsweep watch ", back));
    return ExitCode::kDetached;
  }
  BITSWEEP_RETURN_IF_ERROR(view.result);
  if (!view.status.has_value()) {
    return absl::InternalError("the coordinator ended the stream without a status");
  }
  SayWhatNext(context, *view.status);
  return view.status->summary().state() == "succeeded" ? ExitCode::kOk : ExitCode::kFailed;
}

void AddWatch(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* verb = app.add_subcommand("watch", "Follow a sweep until it ends");
  AddSweepArgument(*verb, options->sweep);
  verb->add_option("--give-up-after",
                   options->give_up_after,
                   "How long to wait for a coordinator that went away")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) {
      return FollowSweep(context, options->sweep, absl::Seconds(options->give_up_after));
    };
  });
}

}  // namespace bitsweep::cli
