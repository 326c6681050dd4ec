// Finds where the function that a prompt opened ends in prompt + completion: the study cuts every
// completion after the first function or method, and a generator that has no stop strings can stop
// there too. It is a scanner, not a parser: it knows strings, text blocks, comments, decorators,
// brackets and nesting, and gives up (npos) on unfinished code. Thread rule: free functions without
// state; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "worker/benchmark/record.h"

namespace bitsweep::benchmark {

/// What is kept of a completion after its stop strings were applied.
enum class PostProcessing {
  kStudy,        // Up to the end of the first function or method, as the study did.
  kKeepHelpers,  // Also the complete functions, methods, types and fields that follow it directly.
  kNone,         // Everything.
};

/// "study", "keep_helpers", "none".
const char* PostProcessingName(PostProcessing policy);
std::optional<PostProcessing> ParsePostProcessing(std::string_view text);

/// Byte position just past the first function (Python) or method (Java) of `text` that is complete,
/// npos when there is none. Python: a function is complete once a line that is not blank and not a
/// comment begins at its own indentation or further left; it ends with its last token. Java:
/// complete with its closing brace; constructors, initializers and methods without a body do not
/// count. `skip` functions that end (completely) at or before that position are passed over.
std::size_t FunctionEnd(Language language, std::string_view text, std::size_t skip = 0);

/// True once prompt + completion holds the whole function that the prompt left open (or, when the
/// prompt left none open, the first function after it): whatever follows is cut by
/// PostProcessing::kStudy. Cheap enough to ask after each token. A generation that stops here
/// cannot be graded later with kKeepHelpers where helpers follow the function.
bool FunctionComplete(const Record& record, std::string_view completion);

/// True once nothing that could follow belongs to the program under any policy but kNone: Java when
/// the class that the prompt opened is closed, Python never (stop strings end it).
bool ClassComplete(const Record& record, std::string_view completion);

/// The part of `completion` (stop strings already applied) that `policy` keeps: a view of its
/// beginning. It stays as it is where no complete function is found; it is empty where the prompt's
/// own function ends before the completion begins.
std::string_view PostProcess(const Record& record,
                             std::string_view completion,
                             PostProcessing policy);

}  // namespace bitsweep::benchmark
