// The scanner against programs that know where their function ends, at every place where a
// generation may have been cut, and against python3's own parser.
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/benchmark/program_generator.h"
#include "worker/benchmark/scanner.h"

namespace bitsweep::benchmark {
namespace {

constexpr unsigned kPrograms = 120;

std::string Place(unsigned seed, const GeneratedProgram& program, std::size_t size) {
  return "seed " + std::to_string(seed) + ", " + std::to_string(size) +
         " bytes of the completion:\n" + program.record.prompt + "<<<" +
         program.completion.substr(0, size) + ">>>";
}

template <typename ProgramWriter>
void ExpectTruthAtEveryCut() {
  for (unsigned seed = 0; seed < kPrograms; ++seed) {
    const GeneratedProgram program = ProgramWriter(seed).Write();
    const Record& record = program.record;
    const std::size_t prompt = record.prompt.size();
    const std::string kept = program.completion.substr(0, program.end - prompt);
    for (std::size_t size = 0; size <= program.completion.size(); ++size) {
      const std::string_view cut = std::string_view(program.completion).substr(0, size);
      // Complete from one byte on, and never again open.
      const bool complete = prompt + size >= program.known;
      ASSERT_EQ(FunctionComplete(record, cut), complete) << Place(seed, program, size);
      // What is kept is the function to its last token (so no cut lies in a string), or everything.
      ASSERT_EQ(PostProcess(record, cut, PostProcessing::kStudy), complete ? kept : cut)
          << Place(seed, program, size);
      const std::string_view helpers = PostProcess(record, cut, PostProcessing::kKeepHelpers);
      ASSERT_EQ(helpers, cut.substr(0, helpers.size()));
      ASSERT_GE(helpers.size(), complete ? kept.size() : cut.size()) << Place(seed, program, size);
      ASSERT_EQ(PostProcess(record, helpers, PostProcessing::kKeepHelpers), helpers)
          << Place(seed, program, size);
    }
    ASSERT_EQ(PostProcess(record, program.completion, PostProcessing::kKeepHelpers),
              program.completion.substr(0, program.helpers_end - prompt))
        << Place(seed, program, program.completion.size());
  }
}

TEST(ScannerTruthTest, PythonAtEveryCut) {
  ExpectTruthAtEveryCut<PythonWriter>();
}

TEST(ScannerTruthTest, JavaAtEveryCut) {
  ExpectTruthAtEveryCut<JavaWriter>();
}

// Beginnings of programs with rubbish behind them: whatever a model writes, the scanner answers.
template <typename ProgramWriter>
void ExpectRubbishIsSurvived() {
  std::mt19937 random(5);  // NOLINT
  constexpr std::string_view kRubbish = "'\"\\\n\r\t {}()[]#:;@/*fF=\xC3\x80\xFF\x00x";
  for (unsigned seed = 0; seed < 400; ++seed) {
    const GeneratedProgram program = ProgramWriter(seed).Write();
    std::string text = program.completion.substr(0, random() % (program.completion.size() + 1));
    for (std::size_t i = 0; i < 30; ++i) {
      text += kRubbish[random() % kRubbish.size()];
      for (const PostProcessing policy :
           {PostProcessing::kStudy, PostProcessing::kKeepHelpers, PostProcessing::kNone}) {
        const std::string_view kept = PostProcess(program.record, text, policy);
        ASSERT_EQ(kept, std::string_view(text).substr(0, kept.size()));
      }
      FunctionComplete(program.record, text);
      ClassComplete(program.record, text);
    }
  }
}

TEST(ScannerTruthTest, RubbishAfterAProgramIsSurvived) {
  ExpectRubbishIsSurvived<PythonWriter>();
  ExpectRubbishIsSurvived<JavaWriter>();
}

}  // namespace
}  // namespace bitsweep::benchmark
