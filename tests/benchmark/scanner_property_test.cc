// Generated functions, nested at random and full of traps: the scanner finds exactly their end, and
// never an end in any beginning of them (a generation is asked after each token).
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "worker/benchmark/scanner.h"

namespace bitsweep::benchmark {
namespace {

constexpr std::size_t kNone = std::string_view::npos;
constexpr int kRounds = 300;

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::size_t Pick(std::size_t count) { return random_() % count; }
  template <std::size_t N>
  std::string OneOf(const char* const (&choices)[N]) {
    return choices[Pick(N)];
  }

  std::string PythonExpression(int depth) {
    if (depth > 0 && Pick(3) == 0) {
      const char* const pairs[] = {"()", "[]", "{}"};
      const std::string pair = OneOf(pairs);
      const char* const joins[] = {", ", ",\n", ",  # )\n"};
      return pair.substr(0, 1) + PythonExpression(depth - 1) + OneOf(joins) +
             PythonExpression(depth - 1) + pair.substr(1);
    }
    const char* const atoms[] = {"x",
                                 "12",
                                 "'('",
                                 "\"]#\"",
                                 "'\\'{'",
                                 "r'\\('",
                                 "b\"}\"",
                                 "'''\ndef f():\n  '\n'''",
                                 "f'{x}'",
                                 "f\"{x['(']:>{w}}\"",
                                 "f'{{ ('",
                                 "f'''{\nx\n} [\n'''",
                                 "\"\"",
                                 "''",
                                 "x + \\\n y",
                                 "lambda a: a"};
    return OneOf(atoms);
  }

  std::string PythonBlock(int depth, const std::string& indent) {
    std::string out;
    for (std::size_t i = 0; i < 1 + Pick(3); ++i) {
      const char* const fillers[] = {"", "", "\n", "# def f():\n", "   \n"};
      out += OneOf(fillers);
      const char* const heads[] = {"if x:",
                                   "for i in y:",
                                   "def g(a,\nb=')'):",
                                   "class C(D):",
                                   "try:\n%1pass\n%0finally:",
                                   "@cache\n%0async def h():",
                                   "with open('('):  # :"};
      if (depth > 0 && Pick(2) == 0) {
        std::string head = OneOf(heads);
        for (std::size_t at = head.find('%'); at != kNone; at = head.find('%')) {
          head.replace(at, 2, head[at + 1] == '0' ? indent : indent + "    ");
        }
        out += indent + head + "\n" + PythonBlock(depth - 1, indent + "    ");
      } else {
        out += indent + "y = " + PythonExpression(2) + "\n";
      }
    }
    return out;
  }

  std::string JavaBlock(int depth) {
    std::string out;
    for (std::size_t i = 0; i < 1 + Pick(3); ++i) {
      const char* const leaves[] = {"x = '}';",
                                    "s = \"}\\\"{\";",
                                    "// }\n",
                                    "/* { */",
                                    "int[] a = {1, 2};",
                                    "f(() -> { g(); });",
                                    "s = \"\"\"\n } \" \\\"\"\" {\n\"\"\";",
                                    "char c = '\\'';",
                                    "record R(int a) { }"};
      const char* const heads[] = {"if (x) ",
                                   "while (y(')')) ",
                                   "for (;;) ",
                                   "try ",
                                   "new Thread() { public void run() ",
                                   "class Q { int h() ",
                                   ""};
      if (depth > 0 && Pick(2) == 0) {
        const std::string head = OneOf(heads);
        const bool wrapped = head.find('{') != kNone;
        out += head + "{ " + JavaBlock(depth - 1) + " }" + (wrapped ? " }" : "") +
               (head.rfind("new", 0) == 0 ? ";" : "");
      } else {
        out += OneOf(leaves);
      }
      out += "\n ";
    }
    return out;
  }

 private:
  std::mt19937 random_;
};

TEST(ScannerPropertyTest, PythonFunctionsEndExactlyWhereTheirBodyDoes) {
  for (unsigned seed = 0; seed < kRounds; ++seed) {
    Generator generator(seed);
    const std::string before = generator.Pick(2) == 0 ? "" : "import x\ny = 'def f():'\n\n";
    std::string text = before + "def f(a):\n" + generator.PythonBlock(3, "    ");
    const std::size_t end = text.find_last_not_of(" \n") + 1;
    text += generator.Pick(2) == 0 ? "" : "\n  # comment\n#\n";
    const std::size_t next = text.size();
    text += "z = 1\n";
    ASSERT_EQ(FunctionEnd(Language::kPython, text), end) << "seed " << seed << "\n" << text;
    for (std::size_t size = 0; size <= next; ++size) {
      ASSERT_EQ(FunctionEnd(Language::kPython, text.substr(0, size)), kNone)
          << "seed " << seed << ", complete too early:\n"
          << text.substr(0, size);
    }
  }
}

TEST(ScannerPropertyTest, JavaMethodsEndExactlyAtTheirBrace) {
  for (unsigned seed = 0; seed < kRounds; ++seed) {
    Generator generator(seed);
    const std::string before =
        generator.Pick(2) == 0 ? "class P { " : "@A({1}) class P<T> { int[] v = {1}; P() { } ";
    const std::string text =
        before + "static <T> List<T> f(int a) throws E {\n " + generator.JavaBlock(3) + "}";
    ASSERT_EQ(FunctionEnd(Language::kJava, text + "\n int g() { } }"), text.size())
        << "seed " << seed << "\n"
        << text;
    for (std::size_t size = 0; size < text.size(); ++size) {
      ASSERT_EQ(FunctionEnd(Language::kJava, text.substr(0, size)), kNone)
          << "seed " << seed << ", complete too early:\n"
          << text.substr(0, size);
    }
  }
}

TEST(ScannerPropertyTest, RandomBytesAreSurvived) {
  std::mt19937 random(3);  // NOLINT
  constexpr std::string_view kAlphabet = "def class(){}[]'\"\\\n\t #f:;@=/*\xC3\xA9\x80";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t i = 0; i < random() % 60; ++i) {
      text += kAlphabet[random() % kAlphabet.size()];
    }
    for (const Language language : {Language::kPython, Language::kJava}) {
      const std::size_t end = FunctionEnd(language, text);
      EXPECT_TRUE(end == kNone || end <= text.size());
    }
  }
}

}  // namespace
}  // namespace bitsweep::benchmark
