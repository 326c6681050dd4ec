// The one place where time enters. Domain code takes `absl::Time now`; only app/ and agent/ hold a Clock.
#pragma once

#include <absl/time/clock.h>
#include <absl/time/time.h>

namespace bitsweep {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace bitsweep
