#include "cli/retry.h"

#include <random>

#include <absl/strings/str_format.h>

namespace bitsweep::cli {

std::string MakeRequestId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppendFormat(&id, "%08x", random());
  }
  return id;
}

}  // namespace bitsweep::cli
