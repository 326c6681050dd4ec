// A folder of one test, removed with it, and the few things that the engine's file tests put there.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {

// Relative to tests/, where the tests run.
inline const std::string kModels = "../deploy/demo/models/";
inline const std::string kAqlmReference = "golden/aqlm-reference/sparrow-1m-AQLM-2bit-code-2x8";

class TestFolder {
 public:
  TestFolder() : path_((std::filesystem::temp_directory_path() / "bitsweep-test-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::runtime_error("cannot create " + path_);
    }
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(File(name), std::ios::binary) << text;
    return File(name);
  }
  void CopyFrom(const std::string& dir, const std::string& name) const {
    std::filesystem::copy_file(dir + "/" + name, File(name));
  }

 private:
  std::string path_;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The message of the kBadInput that `body` throws; a test failure and "" when it throws none.
template <typename Body>
std::string BadInputOf(const Body& body) {
  try {
    body();
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kBadInput) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace bitsweep::engine
