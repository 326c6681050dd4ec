#include "worker/engine/generate/problem_queue.h"

#include <algorithm>

namespace bitsweep::engine {

ProblemQueue::ProblemQueue(std::size_t problems, std::size_t loops, std::int64_t samples)
    : samples_(samples), waiting_(loops) {
  for (std::size_t problem = 0; problem < problems; ++problem) {
    waiting_[problem % loops].push_back(problem);
  }
}

std::deque<std::size_t>* ProblemQueue::Source(std::size_t loop, std::int64_t live) {
  if (!waiting_[loop].empty()) {
    return &waiting_[loop];
  }
  const auto longest =
      std::max_element(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
        return a.size() < b.size();
      });
  const auto left = static_cast<std::int64_t>(longest->size()) * samples_;
  return !longest->empty() && live + samples_ <= left ? &*longest : nullptr;
}

std::vector<std::size_t> ProblemQueue::Take(std::size_t loop,
                                            std::int64_t live,
                                            const std::function<bool(std::size_t)>& fits) {
  const std::lock_guard lock(mutex_);
  std::vector<std::size_t> taken;
  while (!stopped_) {
    std::deque<std::size_t>* source = Source(loop, live);
    if (source == nullptr || !fits(source->front())) {
      break;
    }
    taken.push_back(source->front());
    source->pop_front();
    live += samples_;
  }
  return taken;
}

void ProblemQueue::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
}

bool ProblemQueue::stopped() const {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

std::size_t ProblemQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const std::deque<std::size_t>& problems : waiting_) {
    count += problems.size();
  }
  return count;
}

}  // namespace bitsweep::engine
