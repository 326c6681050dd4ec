// Runs the tool in this process against a FakeCoordinator, with captured output and a folder of its
// own.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdlib.h>
#include <string>
#include <vector>

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/run.h"

namespace bitsweep::cli {

struct Outcome {
  ExitCode code = ExitCode::kOk;
  std::string out;
  std::string err;
};

class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    std::string pattern = ::testing::TempDir() + "bitsweep-cli-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~CliTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  Outcome Run(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    Environment environment{.out = out,
                            .err = err,
                            .out_terminal = terminal_,
                            .err_terminal = Terminal{},
                            .variable = [this](const char* name) -> std::optional<std::string> {
                              const auto found = variables_.find(name);
                              return found == variables_.end() ? std::nullopt
                                                               : std::optional(found->second);
                            },
                            .now = [] { return absl::Now(); },
                            .look_again = nullptr};
    const ExitCode code = RunCommandLine(arguments, environment);
    return {code, out.str(), err.str()};
  }

  std::filesystem::path folder_;
  Terminal terminal_;
  std::map<std::string, std::string> variables_;
};

}  // namespace bitsweep::cli
