#include "worker/engine/quantize/tasks.h"

#include <exception>
#include <mutex>

#include <ATen/Parallel.h>

#include "worker/kernels/parallel.h"

namespace bitsweep::engine {
namespace {

// libtorch's thread count is a setting of the process that every thread reads on its first
// operation.
class OneTorchThread {
 public:
  OneTorchThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneTorchThread() { at::set_num_threads(before_); }
  OneTorchThread(const OneTorchThread&) = delete;
  OneTorchThread& operator=(const OneTorchThread&) = delete;

 private:
  const int before_;
};

}  // namespace

void RunTasks(std::int64_t count, int threads, const std::function<void(std::int64_t)>& task) {
  const OneTorchThread one_thread;
  std::exception_ptr failure;
  std::mutex mutex;
  kernels::ParallelFor(count, 1, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      try {
        task(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        failure = failure ? failure : std::current_exception();
      }
    }
  });
  if (failure) {
    std::rethrow_exception(failure);
  }
}

}  // namespace bitsweep::engine
