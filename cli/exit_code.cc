#include "cli/exit_code.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {

ExitCode ExitCodeOf(const absl::Status& status) {
  BITSWEEP_CHECK(!status.ok()) << "a success has no failure code";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnreachable;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnimplemented:
      return ExitCode::kRefused;
    case absl::StatusCode::kCancelled:
      return ExitCode::kDetached;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace bitsweep::cli
