// Which loop generates which problem, where several work side by side (a GPU each). All samples of
// a problem are one loop's, because they share the prompt's keys and values. Problems are dealt out
// at the start, so that none takes more than its share however early it asks; a loop that has run
// out takes over what waits elsewhere. It exists so that loops share nothing else. Thread rule: any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

namespace bitsweep::engine {

class ProblemQueue {
 public:
  /// Problem i is dealt to loop i mod `loops`. A problem means `samples` sequences.
  ProblemQueue(std::size_t problems, std::size_t loops, std::int64_t samples);

  /// The next problems for `loop`, which has `live` sequences: in order, for as long as `fits` says
  /// so (called once for each in turn; what it refuses stays). Once a loop's own are taken, those
  /// that wait longest elsewhere follow, unless the loop would then have more sequences than still
  /// wait there: their owner is about to have room for them. A loop with nothing live is given a
  /// problem if any is left and fits. Empty once Stop was called.
  std::vector<std::size_t> Take(std::size_t loop,
                                std::int64_t live,
                                const std::function<bool(std::size_t problem)>& fits);

  /// No loop is given more: one of them has failed.
  void Stop();
  bool stopped() const;
  /// Problems that nobody has taken.
  std::size_t waiting() const;

 private:
  // Whose next problem `loop` may take; null: nobody's.
  std::deque<std::size_t>* Source(std::size_t loop, std::int64_t live);

  const std::int64_t samples_;
  mutable std::mutex mutex_;
  std::vector<std::deque<std::size_t>> waiting_;  // By loop. Under mutex_.
  bool stopped_ = false;                          // Under mutex_.
};

}  // namespace bitsweep::engine
