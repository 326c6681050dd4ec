// StageRunner with one thread and one child process a stage.
// Runs on: agent loop; the attempts' threads post to it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "worker/agent/stage_runner.h"
#include "worker/runtime/attempt.h"

namespace bitsweep {

class ProcessRunner : public StageRunner {
 public:
  using Post = std::function<void(std::function<void()>)>;
  /// `post` queues a call on the agent loop. `gpus`: how many devices the stages may use, each one
  /// by one stage at a time.
  ProcessRunner(Workshop workshop, Post post, int gpus);
  /// Cancels what runs and waits for it; nothing is told any more.
  ~ProcessRunner() override;

  /// Before the first Start. `listener` must live until the last posted call has run.
  void SetListener(StageListener* listener) { listener_ = listener; }

  void Start(const Assignment& assignment) override;
  void Cancel(const Fence& fence, const std::string& reason) override;

 private:
  void RunOne(const Assignment& assignment, std::stop_token stop);
  /// Waits until `count` devices are free; empty when stopped before that.
  std::vector<int> TakeGpus(int count, std::stop_token stop);
  void GiveGpus(const std::vector<int>& gpus);

  Workshop workshop_;
  const Post post_;
  const int gpu_count_;
  StageListener* listener_ = nullptr;
  std::map<Fence, std::jthread> threads_;

  std::mutex gpu_mutex_;
  std::condition_variable_any gpu_freed_;
  std::set<int> gpus_free_;
};

}  // namespace bitsweep
