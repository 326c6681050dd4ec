// Writes random functions that know where they end: what the scanner is tested against. Python is
// valid for 3.10 on request, so that python3's own parser can be asked the same question.
// Thread rule: one generator belongs to one thread.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "worker/benchmark/record.h"

namespace bitsweep::benchmark {

/// A prompt, a completion, and the truth about them; positions count in prompt + completion.
struct GeneratedProgram {
  Record record;
  std::string completion;
  std::size_t end = 0;          // Just past the function's last token.
  std::size_t known = 0;        // The shortest beginning that shows the function to be complete.
  std::size_t helpers_end = 0;  // As `end`, with what follows directly and belongs to the program.

  std::string Text() const { return record.prompt + completion; }
};

/// Common to both languages: seeded choices and a growing text.
class Writer {
 public:
  explicit Writer(unsigned seed) : random_(seed) {}

 protected:
  std::size_t Pick(std::size_t count) { return random_() % count; }
  bool Chance(std::size_t of) { return Pick(of) == 0; }
  template <std::size_t N>
  std::string OneOf(const char* const (&choices)[N]) {
    return choices[Pick(N)];
  }

  std::string text_;
  std::size_t end_ = 0;  // Just past the last token that was written.

 private:
  std::mt19937 random_;
};

/// One Python program: prelude, function (perhaps decorated, async), and what a model writes on.
class PythonWriter : private Writer {
 public:
  /// `quotes_nest`: an f-string may use its own quotes inside its fields (PEP 701, Python 3.12).
  explicit PythonWriter(unsigned seed, bool quotes_nest = true)
      : Writer(seed), quotes_nest_(quotes_nest) {}
  GeneratedProgram Write();

 private:
  std::string Expression(int depth);
  void Line(const std::string& indent, const std::string& code);
  void Simple(const std::string& indent);
  void Block(int depth, const std::string& indent);
  void Compound(int depth, const std::string& indent);
  /// One statement at the margin after the function. -> whether it may belong to the program.
  bool Following();

  const bool quotes_nest_;
};

/// One Java class that a prompt opened up to its method's signature, as in McEval.
class JavaWriter : private Writer {
 public:
  explicit JavaWriter(unsigned seed) : Writer(seed) {}
  GeneratedProgram Write();

 private:
  std::string Expression(int depth);
  void Block(int depth);
  void Statement(int depth);
  void Member(int depth);
};

}  // namespace bitsweep::benchmark
