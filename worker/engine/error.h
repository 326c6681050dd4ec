// The engine's errors. Inside the engine exceptions are the rule (torch makes it an exception
// world); main() turns each into one `failed{class}` event and an exit code. Nothing outside the
// engine sees them.
#pragma once

#include <stdexcept>
#include <string>

namespace bitsweep::engine {

/// The failure classes of the contract that an engine process can name
/// (proto/schemas/event.schema.json).
enum class FailureClass {
  kBadInput,  // A file, option or spec is wrong: never retried.
  kOomGpu,    // Device memory ran out.
  kOomHost,   // Host memory ran out.
  kDiskFull,  // ENOSPC or EDQUOT while writing.
  kDiverged,  // NaN or a growing loss.
  kBug,       // Everything else.
};

/// "bad_input", "oom_gpu", ...: the spelling of the contract.
const char* FailureClassName(FailureClass failure);

/// An error with its class. The message names the place, what was found and what is allowed.
class EngineError : public std::runtime_error {
 public:
  EngineError(FailureClass failure, const std::string& message)
      : std::runtime_error(message), failure_(failure) {}
  FailureClass failure() const { return failure_; }

 private:
  FailureClass failure_;
};

/// Shorthand for the most common class.
[[noreturn]] void ThrowBadInput(const std::string& message);

/// For a failed write: kDiskFull on ENOSPC and EDQUOT, else kBug. The message is "<what>:
/// <strerror>".
[[noreturn]] void ThrowWriteError(const std::string& what, int error_number);

}  // namespace bitsweep::engine
