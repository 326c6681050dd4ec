#include "coordinator/app/core_strand.h"

#include <chrono>
#include <cstdlib>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "coordinator/domain/handlers.h"
#include "coordinator/scheduler/schedule.h"
#include "coordinator/scheduler/snapshot.h"

namespace bitsweep {
namespace {

// Between two tries of a commit that the disk refused.
constexpr std::chrono::seconds kCommitRetry{1};
// A batch is one transaction; beyond this many commands the first caller would wait too long.
constexpr std::size_t kBatchCommandsMax = 4096;

}  // namespace

CoreStrand::CoreStrand(std::unique_ptr<Core> core,
                       std::unique_ptr<Store> store,
                       const Clock& clock,
                       EffectsHandler effects,
                       CommitObserver observer)
    : clock_(clock),
      effects_(std::move(effects)),
      observer_(std::move(observer)),
      core_(std::move(core)),
      store_(std::move(store)),
      guard_(boost::asio::make_work_guard(context_)),
      tick_(context_) {}

CoreStrand::~CoreStrand() {
  boost::asio::post(context_, [this] {
    tick_.cancel();
    guard_.reset();
  });
  if (thread_.joinable()) {
    thread_.join();
  }
  if (const absl::Status status = store_->Checkpoint(); !status.ok()) {
    spdlog::warn("the write-ahead log stays beside the database: {}", status.ToString());
  }
}

void CoreStrand::Start() {
  ScheduleTick();
  thread_ = std::thread([this] { context_.run(); });
}

void CoreStrand::Post(Command command) {
  const std::lock_guard<std::mutex> lock(mutex_);
  waiting_.push_back(std::move(command));
  if (!draining_) {
    draining_ = true;
    boost::asio::post(context_, [this] { Drain(); });
  }
}

void CoreStrand::ScheduleTick() {
  tick_.expires_after(absl::ToChronoMilliseconds(kTickInterval));
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error) {
      return;
    }
    Post([](Context& context) -> Completion {
      OnTick(context.core, context.out, context.now);
      return {};
    });
    ScheduleTick();
  });
}

void CoreStrand::Drain() {
  std::vector<Command> batch;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (waiting_.size() <= kBatchCommandsMax) {
      batch.swap(waiting_);
    } else {
      const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(kBatchCommandsMax);
      batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
      waiting_.erase(waiting_.begin(), end);
    }
  }
  Effects effects;
  std::vector<Completion> completions;
  const absl::Time now = clock_.Now();
  Context context{*core_, effects, *store_, now};
  for (const Command& command : batch) {
    if (Completion completion = command(context)) {
      completions.push_back(std::move(completion));
    }
  }
  const Snapshot snapshot = TakeSnapshot(*core_);
  if (!snapshot.workers.empty() && !snapshot.classes.empty()) {
    OnAssign(*core_, effects, Schedule(snapshot, now), now);
  }
  CommitOrDie(effects);
  effects_(effects, *core_);
  for (const Completion& completion : completions) {
    completion();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = !waiting_.empty();
  if (draining_) {
    boost::asio::post(context_, [this] { Drain(); });
  }
}

void CoreStrand::CommitOrDie(const Effects& effects) {
  if (effects.changes.empty()) {
    return;
  }
  while (true) {
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status = store_->Commit(effects.changes);
    if (status.ok()) {
      observer_(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      return;
    }
    if (!absl::IsResourceExhausted(status) && !absl::IsUnavailable(status)) {
      spdlog::critical("the database refused a transaction, so this process ends; nothing acknowledged is lost: {}",
                       status.ToString());
      std::_Exit(EXIT_FAILURE);
    }
    spdlog::error("the database cannot be written now, and everything waits for it: {}", status.ToString());
    std::this_thread::sleep_for(kCommitRetry);
  }
}

}  // namespace bitsweep
