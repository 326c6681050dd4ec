// The process's resident memory as Linux counts it, so that a stated bound can be compared with what
// happened. Thread rule: any thread; the peak is the whole process's.
#pragma once

#include <cstdint>

namespace bitsweep::engine {

/// Gives free memory back to the system, and lets the peak begin anew. Returns the bytes that are
/// resident, or -1 where /proc/self does not allow it.
std::int64_t ForgetPeakMemory();

/// The most bytes that were resident since then.
std::int64_t PeakMemory();

}  // namespace bitsweep::engine
