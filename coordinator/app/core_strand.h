// The one writer: a thread that owns Core and Store. Anybody posts commands; the strand takes all that wait, runs their handlers,
// lets the scheduler place what became ready, commits every change in one transaction (group commit), and only then carries out
// the effects and tells the callers. So whatever a caller or a worker was told is durable.
//
//   gRPC threads ──post──> [command, command, ...] ──> handlers ──> Schedule ──> Store::Commit ──> effects, answers
//
// A commit that fails because the disk is full or busy is tried again until it succeeds: nobody is told anything meanwhile. Any other
// failure ends the process, because memory and disk no longer agree; a restart reads the disk.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <absl/status/statusor.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "coordinator/domain/core.h"
#include "coordinator/domain/effects.h"
#include "coordinator/store/store.h"
#include "proto/base/clock.h"

namespace bitsweep {

class CoreStrand {
 public:
  /// What a handler may touch. Valid during the handler only.
  struct Context {
    Core& core;
    Effects& out;
    Store& store;
    absl::Time now;
  };
  using Completion = std::function<void()>;
  /// Runs on the strand; what it returns (may be empty) runs after the commit, on the strand too.
  using Command = std::function<Completion(Context&)>;
  /// Carries out the effects of a committed batch. Runs on: the strand.
  using EffectsHandler = std::function<void(const Effects&, Core&)>;
  /// Told of every commit with its duration in seconds. Runs on: the strand.
  using CommitObserver = std::function<void(double)>;

  CoreStrand(std::unique_ptr<Core> core,
             std::unique_ptr<Store> store,
             const Clock& clock,
             EffectsHandler effects,
             CommitObserver observer);
  /// Stops: finishes what was posted, moves the write-ahead log into the database.
  ~CoreStrand();

  /// Starts the thread and the ticks. Commands posted before are run first.
  void Start();
  /// Any thread.
  void Post(Command command);

  /// Runs `handler` on the strand and returns its result once everything it changed is durable.
  /// Any thread but the strand's. T is any movable value.
  template <typename T>
  T Call(std::function<T(Context&)> handler) {
    std::promise<T> promise;
    std::future<T> future = promise.get_future();
    Post([&promise, &handler](Context& context) -> Completion {
      auto result = std::make_shared<T>(handler(context));
      return [&promise, result] { promise.set_value(std::move(*result)); };
    });
    return future.get();
  }

 private:
  void Drain();
  void CommitOrDie(const Effects& effects);
  void ScheduleTick();

  const Clock& clock_;
  const EffectsHandler effects_;
  const CommitObserver observer_;
  std::unique_ptr<Core> core_;    // strand only
  std::unique_ptr<Store> store_;  // strand only

  std::mutex mutex_;
  std::vector<Command> waiting_;  // under mutex_
  bool draining_ = false;         // under mutex_: a drain is posted or runs

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  boost::asio::steady_timer tick_;
  std::thread thread_;
};

}  // namespace bitsweep
