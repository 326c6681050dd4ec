// What Java programs get, in the real sandbox.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/grade/grade_one.h"
#include "worker/grade/text.h"

namespace bitsweep::grade {
namespace {

using ::testing::HasSubstr;

class JavaProgramTest : public ProgramTest {
 protected:
  JavaProgramTest() : ProgramTest(benchmark::Language::kJava) {}
};

std::string Main(const std::string& body) {
  return Cat(
      "import java.util.*;\nclass Problem {\n    public static void main(String[] args) throws "
      "Exception {\n",
      body,
      "\n    }\n}\n");
}

TEST_F(JavaProgramTest, VerdictsNameWhatHappened) {
  const std::vector<std::pair<Verdict, std::string>> cases = {
      {Verdict::kPass, Main("assert List.of(1, 2).size() == 2; System.out.println(\"done\");")},
      {Verdict::kWrong, Main("assert 1 + 1 == 3;")},
      {Verdict::kException, Main("int[] a = new int[1]; a[1] = 2;")},
      {Verdict::kException, Main("System.exit(3);")},
      {Verdict::kException, "class Problem { }\n"},
      {Verdict::kForbidden, Main("System.exit(0);")},
      {Verdict::kForbidden, Main("Runtime.getRuntime().halt(0);")},
      {Verdict::kForbidden,
       Main("new Thread(() -> Runtime.getRuntime().halt(0)).start(); while (true) { }")},
      {Verdict::kCompileError, Main("int x = \"a\";")},
      {Verdict::kCompileError, Main("{")},
      {Verdict::kCompileError, "public class Other { }\n"},
      {Verdict::kMemoryLimit,
       Main("List<long[]> all = new ArrayList<>(); while (true) all.add(new long[1 << 20]);")},
      {Verdict::kPass,
       Main("try { new java.net.Socket(\"127.0.0.1\", 22); assert false; } catch "
            "(java.io.IOException e) { }")},
      {Verdict::kPass,
       Main("assert System.in.read() < 0; assert !new java.io.File(\"/root\").exists();")},
      {Verdict::kPass, Main("System.out.println(\"gr\u00f6\u00df\");")},
  };
  std::vector<std::string> programs;
  for (const auto& [verdict, program] : cases) {
    programs.push_back(program);
  }
  const std::vector<Outcome> outcomes = GradeAll(programs);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_STREQ(VerdictName(outcomes[i].verdict), VerdictName(cases[i].first))
        << programs[i] << outcomes[i].error;
  }
  EXPECT_EQ(outcomes[5].study, StudyVerdict::kOk) << "the study would have counted it";
  EXPECT_EQ(outcomes[8].study, StudyVerdict::kSyntaxError);
  EXPECT_THAT(outcomes[8].error, HasSubstr("Problem.java:4: error: incompatible types"));
  EXPECT_THAT(outcomes[1].error, HasSubstr("java.lang.AssertionError"));
  EXPECT_EQ(outcomes.back().output, "gr\u00f6\u00df\n");
}

TEST_F(JavaProgramTest, EndlessProgramsTimeOut) {
  options_.limits.wall = absl::Seconds(3);
  EXPECT_EQ(GradeOne(Main("while (true) { }")).verdict, Verdict::kTimeout);
}

TEST_F(JavaProgramTest, AProgramThatBreaksTheCompilerIsItsOwnFaultAlone) {
  std::string deep = "1";
  for (int i = 0; i < 20000; ++i) {
    deep = "(" + deep + ")";
  }
  const std::vector<Outcome> outcomes =
      GradeAll({Main("assert true;"), Main("int x = " + deep + ";"), Main("assert 1 == 1;")});
  EXPECT_EQ(outcomes[0].verdict, Verdict::kPass) << outcomes[0].error;
  EXPECT_EQ(outcomes[1].verdict, Verdict::kCompileError) << outcomes[1].error;
  EXPECT_EQ(outcomes[2].verdict, Verdict::kPass) << outcomes[2].error;
}

TEST_F(JavaProgramTest, WithoutJavatuplesProgramsThatImportItAreNotScored) {
  const auto grader = Grader::Open(options_, language_);
  ASSERT_TRUE(grader.ok()) << grader.status();
  const std::string program = "import org.javatuples.*;\n" + Main("assert true;");
  const std::vector<benchmark::Record> records = {{.name = "A",
                                                   .language = language_,
                                                   .prompt = "",
                                                   .tests = "",
                                                   .stop_tokens = {},
                                                   .canonical_solution = {}}};
  const Cancellation never;
  const auto report =
      (*grader)->Grade(records, {{.record = 0, .sample = 0, .text = program}}, {}, never);
  if (report.ok()) {
    GTEST_SKIP() << "skipped: javatuples is installed here";
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(report.status())) << report.status();
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("--javatuples JAR"));
}

TEST_F(JavaProgramTest, AProgramCannotBringAHarnessOfItsOwn) {
  EXPECT_EQ(
      GradeOne(
          Main("assert false;") +
          "class BitsweepHarness { public static void main(String[] args) { System.exit(0); } }\n")
          .verdict,
      Verdict::kWrong);
}

}  // namespace
}  // namespace bitsweep::grade
