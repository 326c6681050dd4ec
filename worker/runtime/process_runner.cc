#include "worker/runtime/process_runner.h"

#include <spdlog/spdlog.h>
#include <utility>

#include <absl/strings/str_cat.h>

#include "proto/base/status_macros.h"

namespace bitsweep {

ProcessRunner::ProcessRunner(Workshop workshop, Post post, int gpus)
    : workshop_(std::move(workshop)), post_(std::move(post)), gpu_count_(gpus) {
  for (int gpu = 0; gpu < gpus; ++gpu) {
    gpus_free_.insert(gpu);
  }
}

ProcessRunner::~ProcessRunner() {
  for (auto& [fence, thread] : threads_) {
    thread.request_stop();
  }
  threads_.clear();  // Joins.
}

void ProcessRunner::Start(const Assignment& assignment) {
  BITSWEEP_CHECK(!threads_.contains(assignment.fence)) << "an attempt is started once";
  threads_.emplace(assignment.fence, [this, assignment](std::stop_token stop) {
    RunOne(assignment, std::move(stop));
  });
}

void ProcessRunner::Cancel(const Fence& fence, const std::string& reason) {
  if (const auto found = threads_.find(fence); found != threads_.end()) {
    spdlog::info(
        "stage {}: its processes are ended: {}", fence.stage.value().substr(0, 12), reason);
    found->second.request_stop();
  }
}

void ProcessRunner::RunOne(const Assignment& assignment, std::stop_token stop) {
  const Fence fence = assignment.fence;
  post_([this, fence] { listener_->OnStarted(fence); });
  StageEnd end = StageDropped{fence};
  const int wanted = assignment.stage.needs.gpus;
  if (wanted > gpu_count_) {
    end = StageFailed{
        .fence = fence,
        .failure = FailureClass::kBug,
        .message = absl::StrCat("the stage needs ", wanted, " GPUs, this worker has ", gpu_count_),
        .log_tail = ""};
  } else if (const std::vector<int> gpus = TakeGpus(wanted, stop); !stop.stop_requested()) {
    const auto on_progress = [this](const StageProgress& progress) {
      post_([this, progress] { listener_->OnProgress(progress); });
    };
    end = Attempt(workshop_, assignment, gpus, on_progress, stop).Run();
    GiveGpus(gpus);
  }
  post_([this, fence, end] {
    threads_.erase(fence);  // Joins: the thread has nothing more to do than to return.
    listener_->OnEnded(end);
  });
}

std::vector<int> ProcessRunner::TakeGpus(int count, std::stop_token stop) {
  std::unique_lock<std::mutex> lock(gpu_mutex_);
  const bool enough =
      gpu_freed_.wait(lock, stop, [&] { return static_cast<int>(gpus_free_.size()) >= count; });
  std::vector<int> taken;
  while (enough && static_cast<int>(taken.size()) < count) {
    taken.push_back(gpus_free_.extract(gpus_free_.begin()).value());
  }
  return taken;
}

void ProcessRunner::GiveGpus(const std::vector<int>& gpus) {
  const std::lock_guard<std::mutex> lock(gpu_mutex_);
  gpus_free_.insert(gpus.begin(), gpus.end());
  gpu_freed_.notify_all();
}

}  // namespace bitsweep
