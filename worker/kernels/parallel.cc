#include "worker/kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace bitsweep::kernels {
namespace {

using Body = std::function<void(std::int64_t, std::int64_t)>;

// One range being worked on. Lives on the caller's stack: the caller leaves only when no worker is
// inside.
struct Job {
  const Body* body = nullptr;
  std::int64_t total = 0;
  std::int64_t chunk = 0;
  std::int64_t helpers_left = 0;  // How many workers may still join. Guarded by Pool::mutex_.
  std::int64_t inside = 0;        // Workers that joined and have not left. Guarded by Pool::mutex_.
  std::atomic<std::int64_t> next{0};

  void Work() {
    for (;;) {
      const std::int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= total) {
        return;
      }
      (*body)(begin, std::min(total, begin + chunk));
    }
  }
};

// Workers sleep between jobs and the caller works too, so a job never waits for a thread that did
// not get a core yet. (OpenMP's pool spins at every barrier: with other processes on the machine it
// was up to thirty times slower here.)
class Pool {
 public:
  static Pool& Get() {
    // Never destroyed: worker threads may outlive static destruction.
    static Pool* const kPool = new Pool;
    return *kPool;
  }

  // False when another thread's job has the pool: the caller then works alone.
  bool Run(Job& job, int helpers) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (job_ != nullptr) {
      return false;
    }
    while (static_cast<int>(workers_.size()) < helpers) {
      workers_.emplace_back([this] { WorkerLoop(); });
    }
    job.helpers_left = helpers;
    job_ = &job;
    ++generation_;
    announced_.store(generation_, std::memory_order_release);
    lock.unlock();
    wake_.notify_all();
    job.Work();
    lock.lock();
    job_ = nullptr;
    left_.wait(lock, [&job] { return job.inside == 0; });
    return true;
  }

 private:
  void WorkerLoop() {
    std::uint64_t seen = 0;
    for (;;) {
      // A sweep posts its next job within microseconds: a short spin saves the sleep and the
      // wake-up, and is too short to hurt.
      for (int spin = 0; spin < 2000 && announced_.load(std::memory_order_acquire) == seen;
           ++spin) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      Job* job = job_;
      if (job == nullptr || job->helpers_left == 0) {
        continue;
      }
      --job->helpers_left;
      ++job->inside;
      lock.unlock();
      job->Work();
      lock.lock();
      if (--job->inside == 0) {
        left_.notify_all();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable left_;
  Job* job_ = nullptr;                       // Guarded by mutex_.
  std::uint64_t generation_ = 0;             // Guarded by mutex_; counts jobs.
  std::atomic<std::uint64_t> announced_{0};  // generation_, for the spin.
  std::vector<std::thread> workers_;         // Guarded by mutex_.
};

}  // namespace

void ParallelFor(std::int64_t total, std::int64_t grain, int threads, const Body& body) {
  if (total <= 0) {
    return;
  }
  const std::int64_t pieces = (total + grain - 1) / grain;
  const std::int64_t workers = std::clamp<std::int64_t>(threads, 1, pieces);
  if (workers > 1) {
    Job job;
    job.body = &body;
    job.total = total;
    // Four chunks a thread: a core that somebody else uses for a while does not hold up the rest.
    job.chunk = std::max<std::int64_t>(1, pieces / (workers * 4)) * grain;
    if (Pool::Get().Run(job, static_cast<int>(workers) - 1)) {
      return;
    }
  }
  body(0, total);
}

}  // namespace bitsweep::kernels
