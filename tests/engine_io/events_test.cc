#include "worker/engine/events.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"

namespace bitsweep::engine {
namespace {

// The lines that `body` writes.
template <typename Body>
std::vector<nlohmann::json> EventsOf(const Body& body) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  {
    Events events(ends[1]);
    body(events);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

std::set<std::string> Keys(const nlohmann::json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.insert(key);
  }
  return keys;
}

TEST(EventsTest, EveryEventHasTheMembersOfItsGolden) {
  const std::vector<nlohmann::json> lines = EventsOf([](Events& events) {
    events.Hello({"inspect", "quantize"});
    events.Progress("block 2 of 4", 9, 28, "linears");
    events.Metric("relative_loss", 0.0625, "1");
    events.Log("warning", "no tokenizer.json");
    events.CheckpointFile("model-block-00001.safetensors");
    events.Done({{"seconds", 1.5}});
    events.Failed(FailureClass::kBadInput, "x");
  });
  ASSERT_EQ(lines.size(), 7U);
  const nlohmann::json schema =
      nlohmann::json::parse(ReadText("../proto/schemas/event.schema.json"));
  for (const nlohmann::json& line : lines) {
    const auto name = line["event"].get<std::string>();
    const nlohmann::json golden =
        nlohmann::json::parse(ReadText("../proto/schemas/examples/event_" + name + ".json"));
    EXPECT_EQ(Keys(line), Keys(golden)) << name;
    EXPECT_EQ(Keys(line), Keys(schema["$defs"][name]["properties"])) << name;
  }
  EXPECT_EQ(lines[0]["semantics"], nlohmann::json({{"inspect", 1}, {"quantize", 1}}));
  EXPECT_EQ(lines[1],
            nlohmann::json::parse(ReadText("../proto/schemas/examples/event_progress.json")));
}

TEST(EventsTest, EveryFailureClassIsOneOfTheContract) {
  const nlohmann::json schema =
      nlohmann::json::parse(ReadText("../proto/schemas/event.schema.json"));
  const auto allowed =
      schema["$defs"]["failed"]["properties"]["class"]["enum"].get<std::set<std::string>>();
  for (const FailureClass failure : {FailureClass::kBadInput,
                                     FailureClass::kOomGpu,
                                     FailureClass::kOomHost,
                                     FailureClass::kDiskFull,
                                     FailureClass::kDiverged,
                                     FailureClass::kBug}) {
    EXPECT_EQ(allowed.count(FailureClassName(failure)), 1U) << FailureClassName(failure);
  }
}

TEST(EventsTest, ProgressNeverDecreases) {
  const auto lines = EventsOf([](Events& events) {
    events.Progress("a", 5, 10, "x");
    events.Progress("b", 3, 10, "x");
    events.Progress("b", 6, 10, "x");
  });
  EXPECT_EQ(lines[1]["done"], 5);
  EXPECT_EQ(lines[2]["done"], 6);
}

TEST(EventsTest, BrokenBytesAndInfinitiesStayJson) {
  const auto lines = EventsOf([](Events& events) {
    events.Log("error", "file \xff.safetensors");
    events.Metric("loss", std::nan(""), "1");
  });
  EXPECT_EQ(lines[0]["message"], "file \xEF\xBF\xBD.safetensors");
  EXPECT_TRUE(lines[1]["value"].is_null());
}

}  // namespace
}  // namespace bitsweep::engine
