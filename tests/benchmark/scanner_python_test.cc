// Where a Python function ends: one case for each thing that could be mistaken for its end, or hide
// it.
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "worker/benchmark/python_scan.h"
#include "worker/benchmark/scanner.h"

namespace bitsweep::benchmark {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

/// The text up to the function's end, or "none".
std::string Cut(std::string_view text) {
  const std::size_t end = FunctionEnd(Language::kPython, text);
  return end == kNone ? "none" : std::string(text.substr(0, end));
}

struct Case {
  const char* name;
  const char* function;  // Is cut right after this...
  const char* after;     // ...when this follows.
};

class PythonFunctionEnd : public testing::TestWithParam<Case> {};

TEST_P(PythonFunctionEnd, IsAfterTheLastTokenOfItsBody) {
  const std::string function = GetParam().function;
  EXPECT_EQ(Cut(function + GetParam().after), function);
  EXPECT_EQ(Cut(function), "none") << "a function that may still go on is not complete";
}

constexpr const char* kNext = "\nx = 1\n";

INSTANTIATE_TEST_SUITE_P(
    Cases,
    PythonFunctionEnd,
    testing::Values(
        Case{"Plain", "def f(a):\n    return a", kNext},
        Case{"Async", "async def f(a):\n    return a", kNext},
        Case{"OneLine", "def f(a): return a", kNext},
        Case{"BlankLinesInBody", "def f(a):\n    a = 1\n\n   \n    return a", "\n\n\nprint(f(1))"},
        Case{"CommentAtColumnZeroInBody", "def f(a):\n    a = 1\n# here\n    return a", kNext},
        Case{"CommentsAfterAreNotPart",
             "def f(a):\n    return a",
             "  # why\n    # more\n# end\nx = 1"},
        Case{"DocstringWithCode",
             "def f(a):\n    \"\"\"\ndef g():\n  return 0\nx = 1\n\"\"\"\n    return a",
             kNext},
        Case{"SingleQuotedDocstring", "def f(a):\n    '''it's\nx\n'''\n    return a", kNext},
        Case{"QuotesInStrings", "def f(a):\n    return \"'\\\"\" + '\"' + '\\''", kNext},
        Case{"HashInString", "def f(a):\n    return '#' + \"(\"", kNext},
        Case{"RawStringWithBackslash", "def f(a):\n    return r'\\'' + R\"\\\\\"", kNext},
        Case{"BytesPrefixes", "def f(a):\n    return rb'(' + Rb\"(\" + bR'''(''' + b'['", kNext},
        Case{"FormatStrings",
             "def f(a):\n    return f'{a!r:>{a}}' + f\"{a['x']}\" + rf'{{ {a}'",
             kNext},
        Case{"NestedQuotesInFormatString",
             "def f(a):\n    return f\"{a[\"(\"]}\" + f'{f'{a}'}'",
             kNext},
        Case{"TripleFormatString", "def f(a):\n    return f'''{\na\n}\nx = 1\n{{'''", kNext},
        Case{"FormatSpecWithColon",
             "def f(a):\n    return f\"{a:%H:%M}\" + f\"{(lambda x: x)(a)}\"",
             kNext},
        Case{"StringPrefixIsNotAName", "def f(a):\n    buf = 1\n    return buf", kNext},
        Case{"BracketsOverLines", "def f(a):\n    return [\n1,\n(2,\n3)]", kNext},
        Case{"BracketsInHeader", "def f(\na,\nb=(1,\n2)\n):\n    return a", kNext},
        Case{"BackslashContinuation", "def f(a):\n    return a + \\\n1", kNext},
        Case{"NestedFunction", "def f(a):\n    def g():\n        return a\n    return g()", kNext},
        Case{"NestedClass",
             "def f(a):\n    class C:\n        def g(self):\n            return a\n    return "
             "C().g()",
             kNext},
        Case{"Tabs", "def f(a):\n\tif a:\n\t\treturn 1\n\treturn a", kNext},
        Case{"WindowsLineEnds", "def f(a):\r\n    b = a\r\n\r\n    return b", "\r\nx = 1\r\n"},
        Case{"Decorated", "@cache\n@other(1,\n 2)\ndef f(a):\n    return a", kNext},
        Case{"MethodInClass",
             "class C:\n    x = 1\n    def f(self):\n        return 1",
             "\n    y = 2\n"},
        Case{"MethodThenModule", "class C:\n    def f(self):\n        return 1", "\nx = 1\n"},
        Case{"FollowedByDecorator", "def f(a):\n    return a", "\n@cache\ndef g(): pass"},
        Case{"FollowedByString", "def f(a):\n    return a", "\n\"\"\"text\"\"\""},
        Case{"FollowedByStrayBracket", "def f(a):\n    return a", "\n)\n"},
        Case{"UnterminatedStringEndsWithItsLine", "def f(a):\n    return 'abc", kNext},
        Case{"UnicodeNames", "def größe(a):\n    π = 'ß'\n    return π", kNext},
        Case{"DefInNames",
             "define = 1\ndefault(2)\ndef f(a):\n    undef = a\n    return undef",
             kNext},
        Case{"InIfBlock", "if True:\n    def f(a):\n        return a", "\nelse:\n    pass"},
        Case{"Semicolons", "def f(a): x = 1; return x", kNext},
        Case{"LambdaAndAnnotations",
             "def f(a: 'int' = (lambda: 1)()) -> dict[str, int]:\n    return {'a': 1}",
             kNext}),
    [](const testing::TestParamInfo<Case>& param) { return std::string(param.param.name); });

TEST(PythonScannerTest, TextWithoutAFunctionHasNone) {
  EXPECT_EQ(Cut(""), "none");
  EXPECT_EQ(Cut("x = 1\nprint(x)\n"), "none");
  EXPECT_EQ(Cut("# def f(): pass\n'''\ndef g():\n  pass\n'''\nx = 1"), "none");
}

TEST(PythonScannerTest, UnfinishedStringsAndBracketsHideTheRest) {
  EXPECT_EQ(Cut("def f():\n    x = '''abc\nx = 1\ny = 2\n"), "none");
  EXPECT_EQ(Cut("def f():\n    x = (1,\nx = 1\ny = 2\n"), "none");
  EXPECT_EQ(Cut("def f():\n    x = f'''{a\nx = 1\n"), "none");
}

TEST(PythonScannerTest, AFunctionWithoutABodyIsPassedOver) {
  EXPECT_EQ(Cut("def f():\nx = 1\ndef g():\n    return 1\ny = 2"),
            "def f():\nx = 1\ndef g():\n    return 1");
}

TEST(PythonScannerTest, SkipPassesOverEarlierFunctions) {
  const std::string_view text = "def f():\n    return 1\ndef g():\n    return 2\nx = 1";
  const std::size_t first = FunctionEnd(Language::kPython, text);
  EXPECT_EQ(text.substr(0, FunctionEnd(Language::kPython, text, first)),
            "def f():\n    return 1\ndef g():\n    return 2");
}

TEST(PythonScannerTest, DeeplyNestedFormatStringsAreSurvived) {
  std::string text = "def f():\n    return ";
  for (int i = 0; i < 100000; ++i) {
    text += "f'{";
  }
  EXPECT_EQ(FunctionEnd(Language::kPython, text + "\n"), kNone);
  std::string braces = "def f():\n    return f'{x:";
  braces += std::string(100000, '{');
  EXPECT_EQ(FunctionEnd(Language::kPython, braces), kNone);
}

TEST(PythonScannerTest, LogicalLinesKnowWhetherTheyAreClosed) {
  const std::vector<PythonLine> lines = ScanPython("a = (1,\n 2)  # c\n\tb = '''x");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].end, std::string_view("a = (1,\n 2)").size());
  EXPECT_TRUE(lines[0].closed);
  EXPECT_EQ(lines[1].indent, 8U);
  EXPECT_FALSE(lines[1].closed);
}

}  // namespace
}  // namespace bitsweep::benchmark
