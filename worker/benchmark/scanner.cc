#include "worker/benchmark/scanner.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "worker/benchmark/java_scan.h"
#include "worker/benchmark/python_scan.h"

namespace bitsweep::benchmark {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

constexpr std::array<std::pair<std::string_view, PostProcessing>, 3> kPolicies = {{
    {"study", PostProcessing::kStudy},
    {"keep_helpers", PostProcessing::kKeepHelpers},
    {"none", PostProcessing::kNone},
}};

std::string_view TextOf(std::string_view text, const PythonLine& line) {
  return text.substr(line.begin, line.end - line.begin);
}

/// The first line after `from` that does not belong to the block of line `from`, or lines.size().
std::size_t BlockEnd(const std::vector<PythonLine>& lines, std::size_t from) {
  std::size_t next = from + 1;
  while (next < lines.size() && lines[next].indent > lines[from].indent) {
    ++next;
  }
  return next;
}

/// A function of Python text: its lines [first, next).
struct PythonFunction {
  std::size_t first = 0;
  std::size_t next = 0;
  std::size_t end = kNone;  // kNone: there is no complete one.
};

PythonFunction FindPythonFunction(std::string_view text,
                                  const std::vector<PythonLine>& lines,
                                  std::size_t skip) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!IsPythonFunction(TextOf(text, lines[i]))) {
      continue;
    }
    const std::size_t next = BlockEnd(lines, i);
    if (next == lines.size()) {
      return {};  // Still open at the end of the text, and so is everything in it.
    }
    const bool no_body = next == i + 1 && text[lines[i].end - 1] == ':';
    if (!no_body && lines[next - 1].end > skip) {
      return {.first = i, .next = next, .end = lines[next - 1].end};
    }
    i = next - 1;
  }
  return {};
}

bool IsAssignment(std::string_view line) {
  const std::size_t after_name = line.find_first_of(" \t=:([.,;");
  const std::size_t sign = line.find_first_not_of(" \t", after_name);
  if (after_name == kNone || sign == kNone || after_name == 0) {
    return false;
  }
  const bool annotated = line[sign] == ':' && line.find('=', sign) != kNone;
  const bool plain = line[sign] == '=' && line.substr(sign, 2) != "==";
  return annotated || plain;
}

/// Whether a statement that follows the function may belong to it: definitions, imports and
/// assignments do; calls, prints and `if __name__` are a model talking on.
bool IsHelper(std::string_view line) {
  const std::string_view word = line.substr(0, line.find_first_of(" \t("));
  return IsPythonFunction(line) || line.front() == '@' || word == "class" || word == "import" ||
         word == "from" || IsAssignment(line);
}

std::size_t PythonHelpersEnd(std::string_view text, std::size_t skip) {
  const std::vector<PythonLine> lines = ScanPython(text);
  const PythonFunction function = FindPythonFunction(text, lines, skip);
  std::size_t end = function.end;
  if (end == kNone) {
    return kNone;
  }
  for (std::size_t i = function.next; i < lines.size();) {
    if (lines[i].indent != lines[function.first].indent || !IsHelper(TextOf(text, lines[i]))) {
      break;
    }
    const std::size_t next = BlockEnd(lines, i);
    const bool decorator = text[lines[i].begin] == '@';
    const bool no_body = next == i + 1 && text[lines[i].end - 1] == ':';
    if (no_body || !lines[next - 1].closed) {
      break;
    }
    if (!decorator) {
      end = lines[next - 1].end;
    }
    i = next;
  }
  return end;
}

std::size_t JavaFunctionEnd(std::string_view text, std::size_t skip) {
  for (const JavaMember& member : ScanJava(text)) {
    if (member.kind == JavaMemberKind::kMethod && member.end > skip) {
      return member.end;
    }
  }
  return kNone;
}

std::size_t JavaHelpersEnd(std::string_view text, std::size_t skip) {
  std::size_t end = kNone;
  std::size_t depth = 0;
  for (const JavaMember& member : ScanJava(text)) {
    if (end == kNone) {
      if (member.kind == JavaMemberKind::kMethod && member.end > skip) {
        end = member.end;
        depth = member.depth;
      }
    } else if (member.depth < depth) {
      break;  // The type around the method is closed.
    } else if (member.depth == depth) {
      end = member.end;
    }
  }
  return end;
}

/// Where the last function that is complete within the prompt alone ends (0 without one): helpers
/// that a prompt gives are not the function it asks for.
std::size_t PromptFunctionsEnd(const Record& record) {
  std::size_t skip = 0;
  for (std::size_t end = FunctionEnd(record.language, record.prompt, skip); end != kNone;
       end = FunctionEnd(record.language, record.prompt, skip)) {
    skip = end;
  }
  return skip;
}

}  // namespace

const char* PostProcessingName(PostProcessing policy) {
  for (const auto& [name, value] : kPolicies) {
    if (value == policy) {
      return name.data();
    }
  }
  return "none";
}

std::optional<PostProcessing> ParsePostProcessing(std::string_view text) {
  for (const auto& [name, value] : kPolicies) {
    if (name == text) {
      return value;
    }
  }
  return std::nullopt;
}

std::size_t FunctionEnd(Language language, std::string_view text, std::size_t skip) {
  if (language == Language::kJava) {
    return JavaFunctionEnd(text, skip);
  }
  return FindPythonFunction(text, ScanPython(text), skip).end;
}

bool FunctionComplete(const Record& record, std::string_view completion) {
  const std::string text = record.prompt + std::string(completion);
  return FunctionEnd(record.language, text, PromptFunctionsEnd(record)) != kNone;
}

bool ClassComplete(const Record& record, std::string_view completion) {
  if (record.language != Language::kJava) {
    return false;
  }
  const std::string text = record.prompt + std::string(completion);
  const std::vector<JavaMember> members = ScanJava(text);
  return std::any_of(members.begin(), members.end(), [&](const JavaMember& member) {
    return member.kind == JavaMemberKind::kType && member.depth == 0 &&
           member.end > record.prompt.size();
  });
}

std::string_view PostProcess(const Record& record,
                             std::string_view completion,
                             PostProcessing policy) {
  if (policy == PostProcessing::kNone) {
    return completion;
  }
  const std::string text = record.prompt + std::string(completion);
  const std::size_t skip = PromptFunctionsEnd(record);
  std::size_t end = FunctionEnd(record.language, text, skip);
  if (policy == PostProcessing::kKeepHelpers && end != kNone) {
    end = record.language == Language::kJava ? JavaHelpersEnd(text, skip)
                                             : PythonHelpersEnd(text, skip);
  }
  if (end == kNone) {
    return completion;
  }
  return completion.substr(0, end - std::min(end, record.prompt.size()));
}

}  // namespace bitsweep::benchmark
