// BITSWEEP_RETURN_IF_ERROR and BITSWEEP_ASSIGN_OR_RETURN: how an absl::Status travels up. BITSWEEP_CHECK: a programmer's error.
#pragma once

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#define BITSWEEP_STATUS_CONCAT_INNER(a, b) a##b
#define BITSWEEP_STATUS_CONCAT(a, b) BITSWEEP_STATUS_CONCAT_INNER(a, b)

#define BITSWEEP_RETURN_IF_ERROR(expr)            \
  do {                                            \
    if (::absl::Status status_ = (expr); !status_.ok()) { \
      return status_;                             \
    }                                             \
  } while (false)

#define BITSWEEP_ASSIGN_OR_RETURN(lhs, expr) \
  BITSWEEP_ASSIGN_OR_RETURN_IMPL(BITSWEEP_STATUS_CONCAT(status_or_, __LINE__), lhs, expr)
#define BITSWEEP_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                   \
  if (!tmp.ok()) {                                     \
    return std::move(tmp).status();                    \
  }                                                    \
  lhs = std::move(tmp).value()

namespace bitsweep::internal {

/// Collects the message of a failed BITSWEEP_CHECK and ends the process when it goes out of scope.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition) {
    stream_ << file << ":" << line << ": check failed: " << condition << " ";
  }
  [[noreturn]] ~CheckFailure() {
    std::cerr << stream_.str() << std::endl;
    std::abort();
  }
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

}  // namespace bitsweep::internal

#define BITSWEEP_CHECK(condition) \
  if (condition) {                \
  } else                          \
    ::bitsweep::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()
