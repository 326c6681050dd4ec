#include "worker/engine/run/gpu_telemetry.h"

#include <chrono>
#include <fcntl.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"

namespace bitsweep::engine {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

struct Observed {
  std::vector<nlohmann::json> events;
  nlohmann::json summary;
};

// Observed once, at the end: the interval is longer than any test.
Observed Observe(const std::string& visible, const std::string& library, int devices = 0) {
  const TestFolder folder;
  const std::string path = folder.path() + "/events";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  Observed observed;
  {
    Events events(fd);
    GpuTelemetry telemetry(events, visible, library, hours(1), devices);
    observed.summary = telemetry.Finish();
  }
  ::close(fd);
  std::istringstream lines(ReadText(path));
  for (std::string line; std::getline(lines, line);) {
    observed.events.push_back(nlohmann::json::parse(line));
  }
  return observed;
}

TEST(GpuTelemetryTest, TheVisibleGpusAreToldAndSummedUp) {
  const Observed both = Observe("", BITSWEEP_FAKE_NVML);
  std::map<std::string, double> metrics;
  for (const nlohmann::json& event : both.events) {
    ASSERT_EQ(event["event"], "metric");
    metrics[event["name"].get<std::string>()] = event["value"].get<double>();
  }
  EXPECT_EQ(metrics.size(), 8U);
  EXPECT_EQ(metrics.at("gpu0/utilisation"), 40.0);
  EXPECT_EQ(metrics.at("gpu1/utilisation"), 80.0);
  EXPECT_EQ(metrics.at("gpu0/energy"), 2500.0);
  EXPECT_EQ(metrics.at("gpu1/memory_used_peak"), metrics.at("gpu1/memory_used"));
  EXPECT_EQ(both.summary["gpu_utilisation_percent"], 60.0);
  EXPECT_EQ(both.summary["gpu_energy_joules"], 5000.0);
  EXPECT_EQ(both.summary["gpu_memory_used_peak_bytes"].get<double>(),
            metrics.at("gpu1/memory_used"));
  for (const char* visible : {"1", "GPU-b", "1,7"}) {
    const Observed one = Observe(visible, BITSWEEP_FAKE_NVML);
    EXPECT_EQ(one.events.size(), 4U) << visible;
    EXPECT_EQ(one.summary["gpu_utilisation_percent"], 80.0) << visible;
  }
}

TEST(GpuTelemetryTest, OfTheVisibleGpusThoseInUseAreTold) {
  EXPECT_EQ(Observe("", BITSWEEP_FAKE_NVML, 1).summary["gpu_utilisation_percent"], 40.0);
  EXPECT_EQ(Observe("1,0", BITSWEEP_FAKE_NVML, 1).summary["gpu_utilisation_percent"], 80.0);
  EXPECT_EQ(Observe("", BITSWEEP_FAKE_NVML, 2).summary["gpu_utilisation_percent"], 60.0);
}

TEST(GpuTelemetryTest, WithoutNvmlOneLineSaysSo) {
  const std::vector<Observed> none = {Observe("", "libno-such-library.so.1"),
                                      Observe("7", BITSWEEP_FAKE_NVML)};
  for (const Observed& observed : none) {
    ASSERT_EQ(observed.events.size(), 1U);
    EXPECT_EQ(observed.events[0]["event"], "log");
    EXPECT_THAT(observed.events[0]["message"].get<std::string>(),
                HasSubstr("GPUs are not observed: "));
    EXPECT_TRUE(observed.summary.empty());
  }
}

}  // namespace
}  // namespace bitsweep::engine
