#include "cli/interrupt.h"

namespace bitsweep::cli {
namespace {

volatile std::sig_atomic_t signal_seen = 0;

void Remember(int) {
  signal_seen = 1;
}

}  // namespace

InterruptScope::InterruptScope() {
  signal_seen = 0;
  struct sigaction action {};
  action.sa_handler = Remember;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &old_interrupt_);
  sigaction(SIGTERM, &action, &old_terminate_);
}

InterruptScope::~InterruptScope() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
}

bool InterruptScope::interrupted() const {
  return signal_seen != 0;
}

}  // namespace bitsweep::cli
