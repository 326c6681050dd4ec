// Which Java programs share a virtual machine, that nothing of one reaches the next, and that a program
// gets the same verdict where it shares and where it is alone.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/grade/grade_one.h"
#include "worker/grade/shared_machines.h"
#include "worker/grade/text.h"

namespace bitsweep::grade {
namespace {

class JavaSharingTest : public ProgramTest {
 protected:
  JavaSharingTest() : ProgramTest(benchmark::Language::kJava) {}

  /// For each program whether a shared machine decides it.
  std::vector<bool> Shared(const std::vector<std::string>& programs) {
    const auto sandbox = Sandbox::Open(options_.isolation, options_.search_path);
    const auto java = JavaRunner::Open(**sandbox, {.java = {}, .javatuples = {}, .search_path = options_.search_path});
    EXPECT_TRUE(java.ok()) << java.status();
    std::vector<std::string> jars(programs.size());
    const Cancellation never;
    const absl::Status compiled = (*java)->Compile({programs.begin(), programs.end()},
                                                   options_.limits,
                                                   nullptr,
                                                   never,
                                                   [&](std::size_t index, const Compiled& answer) {
                                                     EXPECT_TRUE(answer.compiled)
                                                         << programs[index] << answer.outcome.error;
                                                     jars[index] = answer.jar;
                                                   });
    EXPECT_TRUE(compiled.ok()) << compiled;
    SharedMachines machines(**sandbox, **java, options_.limits, 1);
    std::vector<bool> shared;
    for (const std::string& jar : jars) {
      const auto result = machines.Run(jar, never);
      EXPECT_TRUE(result.ok()) << result.status();
      shared.push_back(result.ok() && result->has_value());
    }
    return shared;
  }

  /// Grades completions of one record with tests in order, on one thread.
  std::vector<Outcome> Grade(const std::vector<std::string>& bodies, bool share) {
    const std::vector<benchmark::Record> records = {
        {.name = "A",
         .language = language_,
         .prompt = "import java.util.*;\nclass Problem {\n    public static int twice(int n) {\n",
         .tests = "    }\n    public static void main(String[] args) {\n"
                  "    assert(twice(1) == 2);\n    assert(twice(4) == 8);\n    }\n}\n",
         .stop_tokens = {},
         .canonical_solution = {}}};
    std::vector<Completion> completions;
    for (const std::string& body : bodies) {
      completions.push_back(
          {.record = 0, .sample = static_cast<int>(completions.size()), .text = "        " + body});
    }
    options_.jobs = 1;
    options_.share_machines = share;
    const Cancellation never;
    const auto report = (*Grader::Open(options_, language_))->Grade(records, completions, {}, never);
    EXPECT_TRUE(report.ok()) << report.status();
    std::vector<Outcome> outcomes(bodies.size());
    for (std::size_t i = 0; report.ok() && i < bodies.size(); ++i) {
      outcomes[i] = report->outcomes[report->outcome_of[i]];
    }
    return outcomes;
  }
};

std::string InMain(const std::string& body, const std::string& more = "") {
  return Cat("import java.util.*;\nimport java.util.stream.*;\nclass Problem {\n",
             more,
             "\n    public static void main(String[] args) throws Throwable {\n",
             body,
             "\n    }\n}\n");
}

TEST_F(JavaSharingTest, WhatSolutionsUseMayShare) {
  const std::vector<std::string> programs = {
      InMain("BitsweepHarness.put(0, List.of(1, 2).stream().map(x -> x + 1).collect(Collectors.toList()));"),
      InMain("Map<String, Integer> m = new TreeMap<>(); for (String s : \"a b a\".split(\" \")) m.merge(s, 1, "
           "Integer::sum); System.out.println(m + String.format(\"%5.2f\", Math.sqrt(2)));"),
      InMain("int[] a = {3, 1}; Arrays.sort(a); assert a[0] == 1; throw new Mine(\"x\" + a[1]);",
           "    static class Mine extends RuntimeException { Mine(String s) { super(s); } }"),
      InMain("try { Integer.parseInt(\"x\"); } catch (NumberFormatException | NullPointerException e) { "
           "System.err.println(e.getMessage()); } switch (E.B) { case A: break; default: }",
           "    enum E { A, B }\n    interface I { default int one() { return 1; } }"),
      InMain("System.out.println(new java.math.BigInteger(\"12\").pow(100).toString().matches(\"[0-9]+\"));"),
      InMain("Deque<Long> d = new ArrayDeque<>(); d.push(1L); PriorityQueue<int[]> q = new PriorityQueue<>((x, y) "
           "-> x[0] - y[0]); q.add(new int[] {1}); StringBuilder b = new StringBuilder(\"ab\").reverse();"),
      InMain("BitsweepHarness.put(0, IntStream.rangeClosed(1, 5).boxed().sorted(Comparator.reverseOrder())"
           ".mapToInt(Integer::intValue).sum() + new Object() { int two() { return 2; } }.two());"),
      InMain("assert false;"),
  };
  const std::vector<bool> shared = Shared(programs);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    EXPECT_TRUE(shared[i]) << programs[i];
  }
}

TEST_F(JavaSharingTest, WhatTouchesTheMachineRunsAlone) {
  const std::string good = InMain("BitsweepHarness.put(0, 1);");
  const std::vector<std::string> refused = {
      InMain("System.exit(0);"),
      InMain("Runtime.getRuntime().halt(0);"),
      InMain("new Thread(() -> { while (true) { } }).start();"),
      InMain("}\n    static class T extends Thread { public void run() { }"),
      InMain("}\n    static class L extends ClassLoader {"),
      InMain("Class.forName(\"java.lang.System\").getMethod(\"exit\", int.class).invoke(null, 0);"),
      InMain("Problem.class.getDeclaredMethods();"),
      InMain("java.lang.invoke.MethodHandles.lookup();"),
      InMain("System.setOut(null);"),
      InMain("System.setProperty(\"a\", \"b\");"),
      InMain("System.in.read();"),
      InMain("Locale.setDefault(Locale.ROOT);"),
      InMain("TimeZone.setDefault(null);"),
      InMain("new java.io.FileWriter(\"left\").close();"),
      InMain("new java.io.PrintWriter(\"left\").close();"),
      InMain("new java.io.PrintStream(\"left\").close();"),
      InMain("System.out.close();"),
      InMain("List.of(1).parallelStream().count();"),
      InMain("IntStream.range(0, 9).parallel().sum();"),
      InMain("Arrays.parallelSort(new int[2]);"),
      InMain("new ArrayList<Integer>() { }.parallelStream();"),
      InMain("try { args[9] = \"\"; } catch (Throwable e) { }"),
      InMain("try { args[9] = \"\"; } catch (Error e) { }"),
      InMain("try { args[9] = \"\"; } catch (StackOverflowError | IllegalStateException e) { }"),
      InMain("try { int i = 0; } finally { int j = 0; }"),
      InMain("synchronized (String.class) { int i = 0; }"),
      InMain("\"a\".intern();"),
      InMain("String.class.wait();"),
      InMain("", "    protected void finalize() { }"),
      InMain("", "    static native void f();"),
      InMain("new ProcessBuilder(\"true\").start();"),
      InMain("BitsweepHarness.main(null);"),
      InMain("TestServer.main(null);"),
      InMain("Thread.currentThread().setName(\"x\");"),
      InMain("new Timer();"),
      InMain("ThreadLocal<Integer> t = new ThreadLocal<>();"),
      InMain("java.util.concurrent.CompletableFuture.runAsync(() -> { });"),
      // What shows other programs, or that there are others.
      InMain("Integer.getInteger(\"left\");"),
      InMain("Long.getLong(\"left\", 1L);"),
      InMain("Boolean.getBoolean(\"left\");"),
      InMain("java.util.function.Function<String, Integer> f = Integer::getInteger; f.apply(\"left\");"),
      InMain("BitsweepHarness.put(0, Arrays.toString(new RuntimeException().getStackTrace()));"),
      InMain("BitsweepHarness.put(0, Math.random());"),
      InMain("BitsweepHarness.put(0, StrictMath.random());"),
      InMain("Collections.shuffle(new ArrayList<>(List.of(1, 2)));"),
      // Lambdas: what they are, take along and give back.
      InMain("java.security.PrivilegedAction<Integer> p = () -> 1;"),
      InMain("Object o = (Runnable & EventListener) () -> { };"),
      InMain("take(null);", "    static void take(java.nio.file.Path p) { Runnable r = () -> take(p); }"),
      InMain("java.util.function.Function<Object, java.nio.file.Path> f = x -> null;"),
  };
  // Known to be harmless by their class files, and yet for a machine of their own.
  const std::vector<std::string> given_up = {
      InMain("while (true) { }"),
      InMain("main(args);"),
      InMain("List<long[]> all = new ArrayList<>(); while (true) all.add(new long[1 << 20]);"),
      InMain("while (true) System.out.println(args.length);"),
      InMain("", "    static int x = Integer.parseInt(\"x\");"),
      InMain("String s = \"a\"; for (int i = 0; i < 21; i++) s += s; BitsweepHarness.put(0, s);"),
  };
  std::vector<std::string> programs;
  for (const auto* list : {&refused, &given_up}) {
    for (const std::string& program : *list) {
      programs.push_back(program);
      if (list == &given_up) {
        programs.push_back(good);
      }
    }
  }
  const std::vector<bool> shared = Shared(programs);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    EXPECT_EQ(shared[i], programs[i] == good) << programs[i];
  }
}

TEST_F(JavaSharingTest, ALargeAnswerLeavesNoLargeMachine) {
  // Of the heap's old part, a third of a gigabyte, the first one's answer takes more than the second leaves.
  const std::vector<bool> shared = Shared({
      InMain("String s = \"a\"; for (int i = 0; i < 21; i++) s += s; BitsweepHarness.put(0, "
             "Collections.nCopies(24, s));"),
      InMain("BitsweepHarness.put(0, new byte[260 << 20].length);"),
  });
  EXPECT_FALSE(shared[0]) << "it answers more than is kept";
  EXPECT_TRUE(shared[1]);
}

TEST_F(JavaSharingTest, TheVerdictIsTheSameAlone) {
  options_.limits.cpu = absl::Seconds(1);
  const std::string right = "return 2 * n;";
  const std::vector<std::string> bodies = {
      right,
      "return n + 1;",
      "throw new IllegalStateException(\"no\");",
      "int[] a = new int[n]; return a[n];",
      "System.out.println(\"gr\\u00f6\\u00df\"); return n * 2;",
      "assert n < 4 : \"large\"; return 2 * n;",
      "System.exit(0); return 2 * n;",
      "while (n == 4) { } return 2 * n;",
      "return twice(n);",
      "try { return twice(n); } catch (StackOverflowError e) { return 2 * n; }",
      // What a machine that is shared would keep.
      "count += n; return 2 * n - (count > 5 ? 1 : 0); } static int count = 0; static int other() { return 0;",
      "Integer.valueOf(1); return 2 * n + (left == null ? 0 : 1); } static Object left; static int o() { return 0;",
      "left = n; return 2 * n; } static Object left; static int o() { return 0;",
      "System.setProperty(\"left\", \"1\"); return n + n;",
      "return System.getProperty(\"left\") == null ? 2 * n : 0;",
      "Locale.setDefault(Locale.GERMANY); return n << 1;",
      "return String.format(\"%.1f\", 0.5).equals(\"0.5\") ? n * 2 : 0;",
      "System.setOut(null); return n - -n;",
      "System.out.print(n); return n - -n;",
      "Thread t = new Thread(() -> { while (true) { System.setErr(null); } }); t.setDaemon(true); t.start(); "
      "return 2 * n;",
      "BitsweepHarness.put(0, 2); BitsweepHarness.put(1, 8); return 7;",
      "return 2 * n; } static class List { } static class String2 { static int o() { return 0; }",
      "List<Integer> l = new ArrayList<>(); l.add(2 * n); return l.get(0);",
  };
  const std::vector<Outcome> shared = Grade(bodies, true);
  const std::vector<Outcome> alone = Grade(bodies, false);
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    const Outcome& expected = alone[i];
    EXPECT_STREQ(VerdictName(shared[i].verdict), VerdictName(expected.verdict)) << bodies[i] << shared[i].error;
    EXPECT_EQ(shared[i].study, expected.study) << bodies[i];
    EXPECT_EQ(shared[i].exit_code, expected.exit_code) << bodies[i];
    EXPECT_EQ(shared[i].output, expected.output) << bodies[i];
    EXPECT_EQ(shared[i].error.substr(0, shared[i].error.find("\n\tat")),
              expected.error.substr(0, expected.error.find("\n\tat")))
        << bodies[i];
  }
  EXPECT_EQ(shared[0].verdict, Verdict::kPass);
  EXPECT_EQ(shared[1].verdict, Verdict::kWrong);
}

TEST_F(JavaSharingTest, TheCompilerForgetsAProgram) {
  // Its pool reads the JDK's classes once for all programs, and theirs only for them.
  const std::string main = "    public static void main(String[] a) ";
  const std::vector<Outcome> outcomes = GradeAll({
      "class Left { }\nclass Problem {\n" + main + "{ new Left(); }\n}\n",
      "class Problem {\n" + main + "{ new Left(); }\n}\n",
      "class String { }\nclass Problem { public static void main(java.lang.String[] a) { String s = new String(); } }\n",
      "class Problem {\n" + main + "{ String s = \"a\" + 1; assert s.length() == 2; }\n}\n",
      "package java.util;\nclass ArrayList { }\n",
      "class List { }\nclass Problem {\n" + main + "{ new List(); }\n}\n",
      "import java.util.*;\nclass Problem {\n" + main + "{ List<Integer> l = new ArrayList<>(); l.add(1); }\n}\n",
      "class Problem { int x = " + std::string(20000, '(') + "1" + std::string(20000, ')') + "; }\n",
      "class Problem {\n" + main + "{ assert List.of(1) != null; }\n}\n",
      "class Problem {\n" + main + "{ assert java.util.List.of(1) != null; }\n}\n",
  });
  const std::vector<Verdict> expected = {Verdict::kPass,
                                         Verdict::kCompileError,
                                         Verdict::kPass,
                                         Verdict::kPass,
                                         Verdict::kCompileError,
                                         Verdict::kPass,
                                         Verdict::kPass,
                                         Verdict::kCompileError,
                                         Verdict::kCompileError,
                                         Verdict::kPass};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_STREQ(VerdictName(outcomes[i].verdict), VerdictName(expected[i])) << i << outcomes[i].error;
  }
}

}  // namespace
}  // namespace bitsweep::grade
