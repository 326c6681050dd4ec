// The scanner against python3's own parser: generated programs, and solutions that people wrote.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/benchmark/program_generator.h"
#include "tests/benchmark/shared_file.h"
#include "worker/benchmark/scanner.h"

namespace bitsweep::benchmark {
namespace {

constexpr const char* kHumanEval = "benchmarks/multipl-e/humaneval-original-with-solutions.jsonl";

/// Real solutions: the demo's, and HumanEval's where there is a copy beside the checkout.
std::vector<std::string> RealPrograms() {
  std::vector<Record> records = ReadBenchmark("../deploy/demo/benchmark/python.jsonl");
  if (const auto path = SharedFile(kHumanEval)) {
    const std::vector<Record> more = ReadBenchmark(*path);
    records.insert(records.end(), more.begin(), more.end());
  }
  std::vector<std::string> programs;
  for (const Record& record : records) {
    programs.push_back(record.prompt + record.canonical_solution.value_or("") + "\nx = 1\n");
  }
  return programs;
}

/// Asks python3 where the first function of each line's text ends; it prints and counts those that
/// end elsewhere than the line says, and texts that are no Python.
constexpr const char* kAskPython = R"py(
import ast, json, sys
wrong = 0
for line in open(sys.argv[1], encoding="utf-8"):
    case = json.loads(line)
    text = case["text"].encode()
    nodes = ast.parse(text).body
    node = next(n for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
    lines = text.split(b"\n")
    end = sum(len(l) + 1 for l in lines[: node.end_lineno - 1]) + node.end_col_offset
    if end != case["end"]:
        wrong += 1
        print("python3 says", end, "the scanner", case["end"], case["text"], sep="\n")
    ast.parse(text[: case["end"]])
sys.exit(1 if wrong else 0)
)py";

TEST(PythonParserTest, AgreesWhereTheFirstFunctionEnds) {
  if (std::system("python3 -c 'import ast, sys; sys.exit(sys.version_info < (3, 10))' 2>&1") != 0) {
    GTEST_SKIP() << "skipped: there is no python3 from version 3.10 on";
  }
  const auto folder =
      std::filesystem::temp_directory_path() / ("bitsweep-scanner-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "ask.py") << kAskPython;
  {
    std::ofstream cases(folder / "cases.jsonl");
    std::vector<std::string> texts = RealPrograms();
    for (unsigned seed = 0; seed < 1000; ++seed) {
      texts.push_back(PythonWriter(seed, /*quotes_nest=*/false).Write().Text());
    }
    for (const std::string& text : texts) {
      const nlohmann::json line = {{"text", text}, {"end", FunctionEnd(Language::kPython, text)}};
      cases << line.dump() << "\n";
    }
  }
  const std::string command =
      "python3 -W ignore " + (folder / "ask.py").string() + " " + (folder / "cases.jsonl").string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::filesystem::remove_all(folder);
  if (!SharedFile(kHumanEval)) {
    GTEST_SKIP() << "skipped: HumanEval's solutions, because " << kHumanEval << " is not in "
                 << SharedFolder() << "; the demo's and the generated programs agree";
  }
}

}  // namespace
}  // namespace bitsweep::benchmark
