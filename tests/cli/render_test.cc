#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitsweep/v1/sweeps.pb.h"
#include "cli/render/json.h"
#include "cli/render/live.h"
#include "cli/render/styled.h"
#include "cli/render/sweep_view.h"
#include "cli/render/table.h"
#include "cli/render/text.h"

namespace bitsweep::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Terminal kPlain{};
constexpr Terminal kLive{.live = true, .colour = true, .unicode = true, .columns = 80, .rows = 24};

TEST(TextTest, SpansUseTwoUnitsAtMost) {
  EXPECT_EQ(FormatSpan(absl::ZeroDuration()), "0s");
  EXPECT_EQ(FormatSpan(-absl::Seconds(3)), "0s");
  EXPECT_EQ(FormatSpan(absl::Milliseconds(850)), "850 ms");
  EXPECT_EQ(FormatSpan(absl::Seconds(59)), "59s");
  EXPECT_EQ(FormatSpan(absl::Seconds(134)), "2m 14s");
  EXPECT_EQ(FormatSpan(absl::Minutes(185)), "3h 05m");
  EXPECT_EQ(FormatSpan(absl::Hours(52)), "2d 4h");
}

TEST(TextTest, BytesNameTheirDecimalUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.00 kB");
  EXPECT_EQ(FormatBytes(7'470'000'000), "7.47 GB");
  EXPECT_EQ(FormatBytes(999'999'999), "1.00 GB");
}

TEST(TextTest, CountsAreGroupedAndPlural) {
  EXPECT_EQ(FormatCount(364320), "364,320");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
  EXPECT_EQ(FormatCount(-123), "-123");
  EXPECT_EQ(Plural(1, "stage"), "1 stage");
  EXPECT_EQ(Plural(1000, "stage"), "1,000 stages");
}

TEST(StyledTest, WidthCountsCodePointsAndWideOnesTwice) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("größe"), 5);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
  EXPECT_EQ(DisplayWidth("模型"), 4);
  EXPECT_EQ(DisplayWidth("\xff"), 1);
}

TEST(StyledTest, EllipsisNeverExceedsTheColumns) {
  EXPECT_EQ(Ellipsize("quantize", 8, true), "quantize");
  EXPECT_EQ(Ellipsize("quantize", 5, true), "quan…");
  EXPECT_EQ(Ellipsize("quantize", 5, false), "quan~");
  EXPECT_EQ(Ellipsize("模型模型", 4, true), "模…");
  EXPECT_EQ(Ellipsize("x", 0, true), "");
}

TEST(StyledTest, CutLinesKeepTheirColoursClosed) {
  Line line("good", Style::kGood);
  line.Add(" and more", Style::kBad);
  EXPECT_EQ(line.Render(kLive, 8), "\x1b[32mgood\x1b[0m\x1b[31m an…\x1b[0m");
  // A span that ends exactly at the edge still shows that something follows it.
  EXPECT_EQ(line.Render(kPlain, 4), "goo~");
  EXPECT_EQ(line.Render(kPlain, 13), "good and more");
}

TEST(StyledTest, ControlCharactersOfOthersNeverReachTheTerminal) {
  const Line line("a\x1b[2Jb\rc\nd");
  EXPECT_EQ(line.Render(kLive), "a [2Jb c d");
}

TEST(StyledTest, BarsAreAsWideAsAskedAtEveryFraction) {
  for (const double fraction :
       {-1.0, 0.0, 0.01, 0.37, 0.999, 1.0, 7.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(Bar(fraction, 10, kLive).width(), 10) << fraction;
    EXPECT_EQ(Bar(fraction, 10, kPlain).width(), 10) << fraction;
  }
  EXPECT_EQ(Bar(0.5, 4, kPlain).Render(kPlain), "##..");
  // Only what is done looks done.
  EXPECT_EQ(Bar(0.999, 4, kPlain).Render(kPlain), "###.");
}

TEST(TableTest, NumbersAreFlushRight) {
  Table table({{"name"}, {"cells", Align::kRight}});
  table.AddRow({"a", "10"});
  table.AddRow({"bcd", "7"});
  std::vector<std::string> lines;
  for (const Line& line : table.Render(kPlain)) {
    lines.push_back(line.Render(kPlain));
  }
  EXPECT_THAT(lines, ::testing::ElementsAre("name  cells", "a        10", "bcd       7"));
}

TEST(TableTest, OnATerminalTheWidestColumnGivesWayAndAPipeGetsEverything) {
  Table table({{"label", Align::kLeft, 1}, {"state"}});
  table.AddRow({std::string(60, 'x'), "running"});
  Terminal narrow = kLive;
  narrow.columns = 40;
  narrow.colour = false;
  EXPECT_EQ(table.Render(narrow)[1].Render(narrow), std::string(30, 'x') + "…  running");
  Terminal pipe{.columns = 40};
  EXPECT_THAT(table.Render(pipe)[1].Render(pipe), HasSubstr(std::string(60, 'x')));
}

v1::SweepStatus DemoStatus() {
  v1::SweepStatus status;
  auto* summary = status.mutable_summary();
  summary->set_sweep(3);
  summary->set_name("demo");
  summary->set_state("running");
  summary->set_cells(24);
  summary->set_cells_done(12);
  summary->set_created_us(1'000'000);
  const auto add = [&](const char* kind, const char* state, int count) {
    auto* entry = status.add_stages();
    entry->set_kind(kind);
    entry->set_state(state);
    entry->set_count(count);
  };
  add("inspect", "succeeded", 3);
  add("quantize", "succeeded", 4);
  add("quantize", "running", 1);
  add("quantize", "leased", 1);
  add("quantize", "failed", 1);
  add("generate", "waiting", 10);
  auto* running = status.add_running();
  running->set_stage(std::string(64, 'a'));
  running->set_label("quantize sparrow-1m 2-bit code");
  running->set_worker("demo-worker");
  running->set_attempt(2);
  running->set_phase("blocks");
  running->set_unit("linears");
  running->set_done(7);
  running->set_total(28);
  running->set_eta_seconds(75);
  auto* failure = status.add_failures();
  failure->set_stage("0123456789abcdef");
  failure->set_label("quantize sparrow-4m 2-bit code");
  failure->set_failure_class("oom_host");
  failure->set_message("needed 3 GB\nsecond line");
  failure->set_attempt(1);
  failure->set_worker("w1");
  status.set_workers(2);
  status.set_eta_seconds(100);
  status.add_notes("no worker offers isolation bubblewrap");
  return status;
}

std::string Text(const std::vector<Line>& lines, const Terminal& terminal) {
  std::string text;
  for (const Line& line : lines) {
    text += line.Render(terminal) + "\n";
  }
  return text;
}

TEST(SweepViewTest, LeasedCountsAsRunningAndUnknownStatesAreNotCounted) {
  v1::SweepStatus status = DemoStatus();
  auto* novel = status.add_stages();
  novel->set_kind("quantize");
  novel->set_state("hibernating");
  novel->set_count(100);
  const StageTally tally = TallyStages(status, "quantize");
  EXPECT_EQ(tally.total, 7);
  EXPECT_EQ(tally.running, 2);
  EXPECT_EQ(tally.succeeded, 4);
  EXPECT_EQ(tally.failed, 1);
}

TEST(SweepViewTest, RunningStagesCountByTheirOwnProgress) {
  EXPECT_DOUBLE_EQ(FractionDone(DemoStatus()), (7 + 0.25) / 20);
  EXPECT_EQ(FractionDone(v1::SweepStatus()), 0.0);
}

TEST(SweepViewTest, SaysStateTimesStagesProgressFailuresAndNotes) {
  const std::string text =
      Text(SweepView(DemoStatus(), kPlain, absl::FromUnixSeconds(135)), kPlain);
  EXPECT_THAT(text, HasSubstr("demo  sweep 3  running  2m 14s  about 1m 40s left  2 workers"));
  EXPECT_THAT(text, HasSubstr("36%  7 of 20 stages  12 of 24 cells"));
  EXPECT_THAT(text, HasSubstr("25%  1m 15s  demo-worker  blocks 7/28 linears, attempt 2"));
  EXPECT_THAT(text,
              HasSubstr("x quantize sparrow-4m 2-bit code  oom_host  attempt 1 on w1, will run "
                        "again  0123456789ab"));
  EXPECT_THAT(text, HasSubstr("needed 3 GB\n"));
  EXPECT_THAT(text, Not(HasSubstr("second line")));
  EXPECT_THAT(text, HasSubstr("! no worker offers isolation bubblewrap"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(SweepViewTest, NoLineExceedsTheTerminal) {
  for (const int columns : {60, 80, 120}) {
    Terminal terminal = kLive;
    terminal.columns = columns;
    v1::SweepStatus status = DemoStatus();
    status.mutable_running(0)->set_label("quantize " + std::string(150, 'm') + " 2-bit code");
    for (const Line& line : SweepView(status, terminal, absl::FromUnixSeconds(135))) {
      // Failures and notes may be longer: the live view cuts them, `status` wraps them.
      if (line.Render(kPlain).find('%') != std::string::npos) {
        EXPECT_LE(line.width(), columns) << line.Render(kPlain);
      }
    }
  }
}

TEST(LiveBlockTest, GoesBackToTheTopClearsLinesAndRestoresTheCursor) {
  std::ostringstream out;
  {
    LiveBlock block(out);
    block.Draw({"one", "two"}, kLive);
    EXPECT_EQ(out.str(), "\x1b[?25l\rone\x1b[K\ntwo\x1b[K\n\x1b[J");
    out.str("");
    block.Draw({"three"}, kLive);
    EXPECT_EQ(out.str(), "\x1b[2A\rthree\x1b[K\n\x1b[J");
    out.str("");
  }
  EXPECT_EQ(out.str(), "\x1b[?25h");
}

TEST(LiveBlockTest, AfterTheWindowBecameNarrowerWrappedLinesAreFoundAgain) {
  std::ostringstream out;
  LiveBlock block(out);
  block.Draw({std::string(70, 'x')}, kLive);
  out.str("");
  Terminal narrow = kLive;
  narrow.columns = 40;
  block.Draw({"y"}, narrow);
  EXPECT_THAT(out.str(), HasSubstr("\x1b[2A\ry"));
}

TEST(JsonTest, NumbersAreNumbersAndJsonMembersAreValues) {
  v1::ExplainResponse response;
  response.set_stage("ab");
  response.set_detail_json(R"({"state": "waiting"})");
  EXPECT_EQ(ToJson(response).dump(), R"({"stage":"ab","text":"","detail":{"state":"waiting"}})");
  v1::SweepSummary summary;
  summary.set_created_us(1'700'000'000'000'000);
  EXPECT_EQ(ToJson(summary)["created_us"], 1'700'000'000'000'000);
  v1::WorkerStatus worker;
  (*worker.mutable_labels())["b"] = "2";
  (*worker.mutable_labels())["a"] = "1";
  worker.add_stages("grade");
  EXPECT_EQ(ToJson(worker)["labels"].dump(), R"({"a":"1","b":"2"})");
  EXPECT_EQ(ToJson(worker)["stages"].dump(), R"(["grade"])");
}

}  // namespace
}  // namespace bitsweep::cli
