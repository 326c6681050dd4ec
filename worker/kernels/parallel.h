// Splits a range over threads. It exists so that every op divides work the same way: by rows or by
// entries whose results do not depend on each other, so that one thread and many give the same
// bits. Thread rule: any thread. One pool serves the process; a call that finds it busy (a nested
// one, or another thread's) runs on its own thread alone, with the same result.
#pragma once

#include <cstdint>
#include <functional>

namespace bitsweep::kernels {

/// Calls body(begin, end) for consecutive pieces of [0, total), each a multiple of `grain` long
/// (the last may be shorter), on at most `threads` threads. Pieces never overlap. `body` must not
/// throw.
void ParallelFor(std::int64_t total,
                 std::int64_t grain,
                 int threads,
                 const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace bitsweep::kernels
