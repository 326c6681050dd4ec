// Stop strings: the earliest match cuts, however the text arrives.
#include "worker/benchmark/stop.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bitsweep::benchmark {
namespace {

const std::vector<std::string> kPythonStops = {"\ndef", "\n#", "\nif", "\nclass"};

TEST(CutAtStopTest, TheEarliestOfAllStopStringsCuts) {
  EXPECT_EQ(CutAtStop("  a\n  b\nif x\ndef y", kPythonStops), "  a\n  b");
  EXPECT_EQ(CutAtStop("  return 1\n#c", kPythonStops), "  return 1");
}

TEST(CutAtStopTest, WithoutAMatchTheTextStays) {
  EXPECT_EQ(CutAtStop("  return 1\n  if x", kPythonStops), "  return 1\n  if x");
  EXPECT_EQ(CutAtStop("anything", {}), "anything");
  EXPECT_EQ(CutAtStop("", kPythonStops), "");
}

TEST(CutAtStopTest, EmptyStopStringsNeverMatch) {
  EXPECT_EQ(CutAtStop("abc", {""}), "abc");
}

TEST(CutAtStopTest, AStopAtTheBeginningLeavesNothing) {
  EXPECT_EQ(CutAtStop("\ndef f", kPythonStops), "");
}

TEST(CutAtStopTest, JavasStopKeepsTheLastStatement) {
  EXPECT_EQ(CutAtStop("        return 1;\n    }\n}\n", {"\n    }\n"}), "        return 1;");
  EXPECT_EQ(CutAtStop("        }\n        return 1;\n    }", {"\n    }\n"}),
            "        }\n        return 1;\n    }");
}

TEST(FindStopTest, BeginsAtTheGivenPosition) {
  EXPECT_EQ(FindStop("\nif\nif", kPythonStops, 1), 3U);
  EXPECT_EQ(FindStop("\nif", kPythonStops, 1), std::string_view::npos);
  EXPECT_EQ(FindStop("\nif", kPythonStops, 99), std::string_view::npos);
}

TEST(StopSearchTest, FindsAStopThatArrivesInPieces) {
  StopSearch search(kPythonStops);
  EXPECT_EQ(search.Find("  x\n"), std::string_view::npos);
  EXPECT_EQ(search.Find("  x\nd"), std::string_view::npos);
  EXPECT_EQ(search.Find("  x\nde"), std::string_view::npos);
  EXPECT_EQ(search.Find("  x\ndef"), 3U);
  EXPECT_EQ(search.Find("  x\ndef g(): "), 3U) << "found once, found for ever";
}

TEST(StopSearchTest, AMatchInTheUnstableTailWaits) {
  StopSearch search({"ab"});
  EXPECT_EQ(search.Find("xab", 1), std::string_view::npos);
  EXPECT_EQ(search.Find("xac", 0), std::string_view::npos);
  EXPECT_EQ(search.Find("xacab", 0), 3U);
}

TEST(StopSearchTest, AgreesWithTheWholeTextOnRandomTextsAndSteps) {
  std::mt19937 random(7);  // NOLINT: the same texts every time.
  const std::vector<std::string> stops = {"aab", "ba", "bbbb", "abab"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::size_t i = 0; i < 1 + random() % 30; ++i) {
      text += "abc"[random() % 3];
    }
    StopSearch search(stops);
    std::size_t found = std::string_view::npos;
    std::size_t size = 0;
    while (size < text.size() && found == std::string_view::npos) {
      size = std::min<std::size_t>(text.size(), size + 1 + random() % 4);
      found = search.Find(std::string_view(text).substr(0, size));
      EXPECT_EQ(found, FindStop(std::string_view(text).substr(0, size), stops))
          << text << " at " << size;
    }
  }
}

}  // namespace
}  // namespace bitsweep::benchmark
