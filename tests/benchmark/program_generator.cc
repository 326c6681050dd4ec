#include "tests/benchmark/program_generator.h"

namespace bitsweep::benchmark {

std::string PythonWriter::Expression(int depth) {
  if (depth > 0 && Chance(3)) {
    const char* const pairs[] = {"()", "[]", "{}"};
    const std::string pair = OneOf(pairs);
    const char* const joins[] = {", ", ",\n", ",  # ) ' \"\"\"\n", ",\n\n  "};
    return pair.substr(0, 1) + Expression(depth - 1) + OneOf(joins) + Expression(depth - 1) +
           pair.substr(1);
  }
  const char* const nested[] = {"f'{x['(']}'",
                                "f\"{f\"{f'{1}'}}}\"} [\"",
                                "f'{x!r:{'>'}10} {{'",
                                "rf\"\"\"{\"\"\"\n)\"\"\"}\n\"\"\""};
  if (quotes_nest_ && Chance(8)) {
    return OneOf(nested);
  }
  const char* const atoms[] = {"x",
                               "12.5e-3",
                               "'('",
                               "\"]#\"",
                               "'\\'{'",
                               "'\\\\'",
                               "r'\\('",
                               "Rb\"}\\\"\"",
                               "'''\ndef f():\n  '\n'''",
                               "\"\"\"\nclass A:\n\\\"\"\" ''' # {\"\"\"",
                               "f'{x}'",
                               "F\"{x['(']:>{y}}\"",
                               "f'{{ ( }}'",
                               "rf'{x!r:{y}} \\d {{'",
                               "f'''{\nx\n} [\n'''",
                               "f'{(lambda: {1: 2})()}'",
                               "\"\"",
                               "''",
                               "'a' 'b' \"c\"",
                               "x + \\\n y",
                               "lambda a, b=')': a",
                               "[i for i in x if i != '[']",
                               "{**x, '}': 1}",
                               "'\xC3\xA9\xE2\x82\xAC'",
                               "not x",
                               "x[1:2, ::3]",
                               "'line \\\n def g(): \\\n end'"};
  return OneOf(atoms);
}

// Code, then perhaps a comment, then perhaps lines that hold no code at any indentation.
void PythonWriter::Line(const std::string& indent, const std::string& code) {
  text_ += indent + code;
  end_ = text_.size();
  const char* const ends[] = {"\n", "\n", "\n", "  # ' \"\"\" ( def f():\n", "   \n"};
  text_ += OneOf(ends);
  const char* const fillers[] = {"", "", "", "\n", "# def f():\n", "   \n", "\t\n", "      # ]\n"};
  text_ += OneOf(fillers);
}

void PythonWriter::Simple(const std::string& indent) {
  const char* const fixed[] = {"pass",
                               "return",
                               "x = y; y = x",
                               "if x: return 'if'",
                               "for i in x: y = i; z = i",
                               "assert x, '('",
                               "del x[0]",
                               "x: dict[str, int] = {}",
                               "def inner(): return 1",
                               "global defx, class_"};
  switch (Pick(5)) {
    case 0:
      return Line(indent, OneOf(fixed));
    case 1:
      return Line(indent, "return " + Expression(2));
    case 2:
      return Line(indent, "definition = " + Expression(2));
    case 3:
      return Line(indent, Expression(1));
    default:
      return Line(indent, "y = " + Expression(3));
  }
}

void PythonWriter::Compound(int depth, const std::string& indent) {
  const char* const heads[] = {"if x:",
                               "while x == '):':",
                               "for i in [1,\n2]:",
                               "with open('('):  # :",
                               "def g(a,\nb=')') -> 'def':",
                               "async def h(*, c={}):",
                               "class C(D, metaclass=E):",
                               "try:",
                               "match x:"};
  const std::string head = OneOf(heads);
  const std::string deeper = indent + (Chance(4) ? "  " : "    ");
  const bool named = head.rfind("def", 0) == 0 || head.rfind("class", 0) == 0;
  if (named && Chance(2)) {
    Line(indent, Chance(2) ? "@cache" : "@wraps(f, '(',\n)");
  }
  Line(indent, head);
  if (head == "match x:") {
    Line(deeper, "case {'(': y}:");
    return Block(depth - 1, deeper + "    ");
  }
  Block(depth - 1, deeper);
  if (head == "try:") {
    Line(indent, Chance(2) ? "finally:" : "except (A, B) as e:");
    Block(depth - 1, deeper);
  } else if (head == "if x:" && Chance(2)) {
    Line(indent, "else:");
    Block(depth - 1, deeper);
  }
}

void PythonWriter::Block(int depth, const std::string& indent) {
  if (Chance(6)) {
    Line(indent, "\"\"\"doc {\n\ndef f(): '\n\"\"\"");
  }
  for (std::size_t i = 0; i < 1 + Pick(3); ++i) {
    if (depth > 0 && Chance(2)) {
      Compound(depth, indent);
    } else {
      Simple(indent);
    }
  }
}

bool PythonWriter::Following() {
  const char* const helpers[] = {"import os", "from a import (b,\nc)", "K = {'}': 1,\n2: 3}"};
  const char* const others[] = {"print(solve(1))", "if __name__ == '__main__':", "assert x", "x"};
  switch (Pick(4)) {
    case 0:
      Line("", OneOf(helpers));
      return true;
    case 1:
      if (Chance(2)) {
        Line("", "@decorate('(')");
      }
      Line("", Chance(2) ? "def helper(a):" : "class Helper:");
      Block(1, "    ");
      return true;
    default: {
      const std::string code = OneOf(others);
      Line("", code);
      if (code.back() == ':') {
        Block(0, "    ");
      }
      return false;
    }
  }
}

GeneratedProgram PythonWriter::Write() {
  GeneratedProgram program;
  const char* const preludes[] = {
      "", "import x\n", "y = 'def f():'\n\n", "from typing import (List,\n  Dict)\n# def\n\n"};
  const char* const heads[] = {"def solve(a):",
                               "def solve(a: 'x:' = '):',\n          b={1: 2}) -> List[int]:",
                               "async def solve(a):",
                               "@cache\ndef solve(a):"};
  text_ = OneOf(preludes) + OneOf(heads) + "\n";
  if (Chance(2)) {
    text_ += "    \"\"\" doc { ( ' \n>>> solve('''1''')\ndef f():\n    \"\"\"\n";
  }
  program.record = {.name = "generated",
                    .language = Language::kPython,
                    .prompt = text_,
                    .tests = "pass\n",
                    .stop_tokens = {},
                    .canonical_solution = {}};
  const std::size_t prompt = text_.size();
  Block(3, "    ");
  program.end = program.helpers_end = end_;
  program.known = text_.size() + 1;  // With the first byte of what follows.
  bool belongs = true;
  for (std::size_t i = 0; i < 1 + Pick(4); ++i) {
    belongs = Following() && belongs;
    program.helpers_end = belongs ? end_ : program.helpers_end;
  }
  program.completion = text_.substr(prompt);
  return program;
}

std::string JavaWriter::Expression(int depth) {
  if (depth > 0 && Chance(3)) {
    return "g(" + Expression(depth - 1) + ", /* ) } */ " + Expression(depth - 1) + ")";
  }
  const char* const atoms[] = {"x",
                               "'}'",
                               "'\\''",
                               "'\"'",
                               "'\\u007d'",
                               "\"}\\\"{\"",
                               "\"\\\\\"",
                               "\"// }\"",
                               "\"\"",
                               "\"\"\"\n } \" \"\" \\\"\"\" {\n // \"\"\"",
                               "new int[] {1, 2}",
                               "() -> { return 1; }",
                               "x -> x > 0 ? '{' : '}'",
                               "new Thread() { public void run() { } int f; }",
                               "new Object() { static class Q { } }",
                               "(List<Map<String, int[]>>) y",
                               "switch (x) { case 1 -> { yield 2; } default -> '}'; }",
                               "x instanceof R(int a, int b)",
                               "\"\xC3\xA9}\"",
                               "0x1F_FFL"};
  return OneOf(atoms);
}

void JavaWriter::Block(int depth) {
  text_ += "{\n";
  for (std::size_t i = 0; i < Pick(4); ++i) {
    Statement(depth);
  }
  text_ += "}";
}

void JavaWriter::Statement(int depth) {
  const char* const fillers[] = {"", " ", "\n", "// }\n", "/* { \" ' */ ", "// \"\"\"\n"};
  text_ += OneOf(fillers);
  if (depth == 0 || Chance(2)) {
    text_ += (Chance(3) ? "return " : "var y = ") + Expression(2) + ";\n";
    return;
  }
  const char* const heads[] = {"if (y(')', \"{\")) ",
                               "for (int i = 0; i < x; i++) ",
                               "while (true) // {\n",
                               "try ",
                               "synchronized (this) ",
                               "outer: do ",
                               "switch (x) ",
                               "class Local { int h() ",
                               "record Point(int a, int b) { int h() ",
                               ""};
  const std::string head = OneOf(heads);
  text_ += head;
  Block(depth - 1);
  text_ += head == "try " ? " finally { }" : head == "outer: do " ? " while (x > '}');" : "";
  text_ += head.find(" { ") != std::string::npos ? " }\n" : "\n";
}

void JavaWriter::Member(int depth) {
  const char* const fields[] = {
      "static final int[] T = {1, 2};",
      "private String s = \"\"\"\n}\n\"\"\", t = \"}\";",
      "Map<String, List<int[]>> m = new HashMap<>() {{ put(\"}\", null); }};",
      "static final Comparator<P> C = (a, b) -> { return '}'; };",
      "int a = 1, b[] = {2};",
      "abstract int later(int a);",
      "static { x = '}'; }",
      "Problem() { super(); }",
      "@A({\"}\", \"{\"}) int z;",
      "enum E { A, B { int f() { return 1; } }, C; int f() { return 0; } }",
      "interface I { int f(); default int g() { return 1; } }",
      "record Pair(int a, int b) { Pair { a = 1; } }",
      "static class Node { int v; Node next; Node(int v) { this.v = v; } }"};
  const char* const heads[] = {
      "private static int helper(int a) ",
      "@Override\n@SuppressWarnings({\"unchecked\", \"}\"}) public String f() ",
      "static <T extends Comparable<T>> List<T> sort(List<T> a) throws E ",
      "int[] rows(int[]... a) ",
      "final synchronized Map.Entry<K, V> entry(@A('}') K k) "};
  const char* const fillers[] = {"\n", "\n\n", "\n// helper }\n", "\n/** { */\n"};
  text_ += OneOf(fillers);
  if (Chance(2)) {
    text_ += OneOf(heads);
    Block(depth);
  } else {
    text_ += OneOf(fields);
  }
  end_ = text_.size();
}

GeneratedProgram JavaWriter::Write() {
  GeneratedProgram program;
  const char* const preludes[] = {"", "import java.util.*;\n", "/* class { */ package a;\n"};
  const char* const types[] = {"class Problem {",
                               "@A({1, 2}) public final class Problem<T> extends B implements C {",
                               "class Problem {\n  private static int[] table = {1, 2};\n",
                               "class Problem {\n  Problem() { }\n  static { x = '{'; }\n"};
  const char* const heads[] = {
      "public static int solve(int a) ",
      "static <T> List<T> solve(final List<? super T> a, int... b) throws E ",
      "@A(\"{\") public int[][] solve() "};
  text_ = OneOf(preludes) + OneOf(types) + "\n /** doc } { ' */\n " + OneOf(heads);
  program.record = {.name = "generated",
                    .language = Language::kJava,
                    .prompt = text_,
                    .tests = "}\n",
                    .stop_tokens = {},
                    .canonical_solution = {}};
  const std::size_t prompt = text_.size();
  Block(3);
  program.end = program.known = program.helpers_end = text_.size();
  for (std::size_t i = 0; i < Pick(4); ++i) {
    Member(1);
    program.helpers_end = end_;
  }
  const char* const tails[] = {
      "", "\n}\n", "\n}\nclass Other { int f() { } }\n", "\n int open(int a) { if (a) { }"};
  text_ += OneOf(tails);
  program.completion = text_.substr(prompt);
  return program;
}

}  // namespace bitsweep::benchmark
