// Grades completions with the bitsweep-grade binary, for the tests of this group. It is skipped
// where there is no sandbox. Thread rule: one thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "worker/benchmark/record.h"
#include "worker/grade/runner_java.h"
#include "worker/grade/sandbox.h"

namespace bitsweep::grade {

/// Completions are added, then graded together.
class GradedTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* binaries = std::getenv("BITSWEEP_BIN_DIR");
    ASSERT_NE(binaries, nullptr) << "BITSWEEP_BIN_DIR is not set";
    tool_ = std::string(binaries) + "/bitsweep-grade";
    const char* path = std::getenv("PATH");
    path_ = path != nullptr ? path : "";
    const auto sandbox = Sandbox::Open(Isolation::kBubblewrap, path_);
    if (!sandbox.ok()) {
      GTEST_SKIP() << "skipped: " << sandbox.status().message();
    }
    java_ = JavaRunner::Open(**sandbox, {.java = "", .javatuples = "", .search_path = path_}).ok();
    folder_ = std::filesystem::temp_directory_path() /
              ("bitsweep-acceptance-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Add(const std::string& name, int sample, const std::string& completion) {
    lines_ +=
        nlohmann::json{{"name", name}, {"sample", sample}, {"completion", completion}}.dump() +
        "\n";
  }

  static std::vector<nlohmann::json> Lines(const std::filesystem::path& path) {
    std::vector<nlohmann::json> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  /// Grades what was added. -> verdicts of each sample by problem.
  std::map<int, std::map<std::string, std::string>> Grade(const std::string& benchmark,
                                                          const std::string& policy) {
    std::ofstream(folder_ / "completions.jsonl") << lines_;
    lines_.clear();
    const std::string command = tool_ + " run --benchmark '" + benchmark + "' --completions '" +
                                (folder_ / "completions.jsonl").string() + "' --post-processing " +
                                policy + " --timeout 5 --output '" +
                                (folder_ / "verdicts.jsonl").string() + "' --events 3 3>'" +
                                (folder_ / "events.jsonl").string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    std::map<int, std::map<std::string, std::string>> verdicts;
    for (const nlohmann::json& line : Lines(folder_ / "verdicts.jsonl")) {
      verdicts[line["sample"].get<int>()][line["name"].get<std::string>()] =
          line["verdict"].get<std::string>();
    }
    return verdicts;
  }

  /// The names among `verdicts` that did not pass.
  static std::set<std::string> Failed(const std::map<std::string, std::string>& verdicts) {
    std::set<std::string> names;
    for (const auto& [name, verdict] : verdicts) {
      if (verdict != "pass") {
        names.insert(name);
      }
    }
    return names;
  }

  std::string tool_, path_, lines_;
  std::filesystem::path folder_;
  bool java_ = false;
};

}  // namespace bitsweep::grade
