#include "worker/grade/cancellation.h"

#include <cstdint>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/base/status_macros.h"

namespace bitsweep::grade {

Cancellation::Cancellation() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  BITSWEEP_CHECK(descriptor_ >= 0) << "eventfd";
}

Cancellation::~Cancellation() {
  close(descriptor_);
}

void Cancellation::Cancel() const {
  const std::uint64_t one = 1;
  // Nothing is to be done where it fails: the counter is then already above zero.
  [[maybe_unused]] const ssize_t written = write(descriptor_, &one, sizeof one);
}

bool Cancellation::cancelled() const {
  pollfd poll_for{.fd = descriptor_, .events = POLLIN, .revents = 0};
  return poll(&poll_for, 1, 0) == 1;
}

}  // namespace bitsweep::grade
