// The cut of a completion under each policy, stopping early, and the program that is assembled of
// it.
#include <string>

#include <gtest/gtest.h>

#include "worker/benchmark/program.h"
#include "worker/benchmark/record.h"
#include "worker/benchmark/scanner.h"

namespace bitsweep::benchmark {
namespace {

Record PythonRecord() {
  return {.name = "A",
          .language = Language::kPython,
          .prompt = "def f(a):\n    \"\"\"doc\"\"\"\n",
          .tests = "assert f(1) == 1\n",
          .stop_tokens = {"\ndef", "\n#", "\nif", "\nclass"},
          .canonical_solution = {}};
}

Record McEvalRecord() {
  return {.name = "B",
          .language = Language::kJava,
          .prompt = "class Problem {\n    public static int f(int a) ",
          .tests = "    public static void main(String[] args) { }\n}\n",
          .stop_tokens = {},
          .canonical_solution = {}};
}

Record MultiPlERecord() {
  return {.name = "C",
          .language = Language::kJava,
          .prompt = "class Problem {\n    public static int f(int a) {\n",
          .tests = "    }\n    public static void main(String[] args) { }\n}\n",
          .stop_tokens = {"\n    }\n"},
          .canonical_solution = {}};
}

TEST(PostProcessTest, StudyCutsAfterTheFunction) {
  EXPECT_EQ(CutCompletion(PythonRecord(), "    return a\n\nprint(f(2))\n", PostProcessing::kStudy),
            "    return a");
  EXPECT_EQ(CutCompletion(McEvalRecord(),
                          "{\n return g(a);\n }\n int g(int a) { return a; }\n}",
                          PostProcessing::kStudy),
            "{\n return g(a);\n }");
}

TEST(PostProcessTest, UnfinishedMethodsStayAsTheyAre) {
  EXPECT_EQ(
      CutCompletion(MultiPlERecord(), "        return a;\n    }\n}\n", PostProcessing::kStudy),
      "        return a;");
  EXPECT_EQ(CutCompletion(McEvalRecord(), "{\n  if (a) {\n return 1;", PostProcessing::kStudy),
            "{\n  if (a) {\n return 1;");
  EXPECT_EQ(CutCompletion(PythonRecord(), "    return (a", PostProcessing::kStudy),
            "    return (a");
}

TEST(PostProcessTest, ACompletionThatLeavesTheFunctionAtOnceIsCutToNothing) {
  EXPECT_EQ(CutCompletion(PythonRecord(), "print(1)\n", PostProcessing::kStudy), "");
  EXPECT_TRUE(FunctionComplete(PythonRecord(), "p"));
}

TEST(PostProcessTest, FunctionsThatThePromptCompletesArePassedOver) {
  Record record = PythonRecord();
  record.prompt = "def helper():\n    return 1\n\n" + record.prompt;
  EXPECT_EQ(CutCompletion(record, "    return a\nprint()", PostProcessing::kStudy), "    return a");
  EXPECT_FALSE(FunctionComplete(record, "    return a\n"));
  EXPECT_TRUE(FunctionComplete(record, "    return a\nx"));
}

TEST(PostProcessTest, KeepHelpersKeepsWhatBelongsToTheFunction) {
  EXPECT_EQ(CutCompletion(McEvalRecord(),
                          "{\n return g(a);\n }\n static int k = 1;\n int g(int a) { return a; }\n "
                          "class Q { int h() { } }\n}\nrest",
                          PostProcessing::kKeepHelpers),
            "{\n return g(a);\n }\n static int k = 1;\n int g(int a) { return a; }\n class Q { int "
            "h() { } }");
  EXPECT_EQ(
      CutCompletion(
          McEvalRecord(), "{\n return 1;\n }\n int g(int a) { retu", PostProcessing::kKeepHelpers),
      "{\n return 1;\n }");
  Record python = PythonRecord();
  python.stop_tokens.clear();
  EXPECT_EQ(
      CutCompletion(python,
                    "    return g(a)\n\nimport x\nK = 1\n@x.y\ndef g(a):\n    return a\n\nclass "
                    "C:\n    z = 1\n\nprint(1)\ndef h(): pass\n",
                    PostProcessing::kKeepHelpers),
      "    return g(a)\n\nimport x\nK = 1\n@x.y\ndef g(a):\n    return a\n\nclass C:\n    z = 1");
  EXPECT_EQ(
      CutCompletion(python, "    return a\ndef g(a):\n    return (a", PostProcessing::kKeepHelpers),
      "    return a");
}

TEST(PostProcessTest, NoneKeepsEverythingButTheStopStrings) {
  EXPECT_EQ(CutCompletion(PythonRecord(), "    return a\nprint(1)\n#x", PostProcessing::kNone),
            "    return a\nprint(1)");
}

TEST(PostProcessTest, CuttingTwiceChangesNothing) {
  for (const PostProcessing policy :
       {PostProcessing::kStudy, PostProcessing::kKeepHelpers, PostProcessing::kNone}) {
    const std::string text = "    return a\nx = 1\nprint(1)\nif x: pass";
    const std::string once(CutCompletion(PythonRecord(), text, policy));
    EXPECT_EQ(CutCompletion(PythonRecord(), once, policy), once);
  }
}

TEST(EarlyStopTest, AFunctionIsCompleteOnlyWhenNothingCanBelongToItAnyMore) {
  EXPECT_FALSE(FunctionComplete(PythonRecord(), "    return a\n"));
  EXPECT_FALSE(FunctionComplete(PythonRecord(), "    return a\n\n  "));
  EXPECT_FALSE(FunctionComplete(PythonRecord(), "    return a\n# c"));
  EXPECT_TRUE(FunctionComplete(PythonRecord(), "    return a\nx"));
  EXPECT_FALSE(FunctionComplete(McEvalRecord(), "{ if (a) { }"));
  EXPECT_TRUE(FunctionComplete(McEvalRecord(), "{ if (a) { } }"));
}

TEST(EarlyStopTest, AClassIsCompleteWithItsBrace) {
  EXPECT_FALSE(ClassComplete(McEvalRecord(), "{ return 1; } int g() { return 1; }"));
  EXPECT_TRUE(ClassComplete(McEvalRecord(), "{ return 1; } int g() { return 1; } }"));
  EXPECT_FALSE(ClassComplete(PythonRecord(), "    return 1\nx = 1\n"));
}

TEST(ProgramTest, IsPromptCompletionNewlineTests) {
  EXPECT_EQ(AssembleProgram(PythonRecord(), "    return a"),
            "def f(a):\n    \"\"\"doc\"\"\"\n    return a\nassert f(1) == 1\n");
}

TEST(PolicyTest, NamesRoundTrip) {
  for (const char* name : {"study", "keep_helpers", "none"}) {
    ASSERT_TRUE(ParsePostProcessing(name).has_value());
    EXPECT_STREQ(PostProcessingName(*ParsePostProcessing(name)), name);
  }
  EXPECT_FALSE(ParsePostProcessing("Study").has_value());
}

}  // namespace
}  // namespace bitsweep::benchmark
