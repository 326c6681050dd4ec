// main of every test binary. Says what was skipped and why, and tells ctest when nothing else was left (exit code 77), so that a
// skip is never counted as a pass and never hides a failure. tests/run.sh prints the lines collected in BITSWEEP_SKIPPED_LIST.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <string>

namespace {

// How ctest knows a skipped test (SKIP_RETURN_CODE in cmake/BitsweepRooms.cmake).
constexpr int kSkipped = 77;

/// Writes one line for each skipped test at the end of the run.
class SkippedLines : public testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const testing::TestInfo& test) override {
    if (!test.result()->Skipped()) {
      return;
    }
    std::string why = "no reason given";
    for (int i = 0; i < test.result()->total_part_count(); ++i) {
      if (test.result()->GetTestPartResult(i).skipped()) {
        why = test.result()->GetTestPartResult(i).message();
      }
    }
    if (why.rfind("skipped: ", 0) == 0) {
      why.erase(0, std::string("skipped: ").size());
    }
    const std::string line =
        std::string("skipped: ") + test.test_suite_name() + "." + test.name() + ": " + why;
    std::printf("%s\n", line.c_str());
    if (const char* list = std::getenv("BITSWEEP_SKIPPED_LIST"); list != nullptr) {
      std::ofstream(list, std::ios::app) << line << "\n";
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  testing::UnitTest& unit = *testing::UnitTest::GetInstance();
  unit.listeners().Append(new SkippedLines);  // gtest owns it.
  const int result = RUN_ALL_TESTS();
  const bool nothing_ran = unit.skipped_test_count() > 0 &&
                           unit.skipped_test_count() == unit.test_to_run_count();
  return result == 0 && nothing_ran ? kSkipped : result;
}
