#include "coordinator/domain/stage.h"

#include <type_traits>
#include <utility>

#include "coordinator/domain/text.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

StageEvent EventOf(const StageTransition& transition) {
  return std::visit([](const auto& event) { return std::decay_t<decltype(event)>::kEvent; },
                    transition);
}

/// A payload without members for the states that have none.
StagePayload EmptyPayload(StageState state) {
  switch (state) {
    case StageState::kWaiting:
      return in::Waiting{};
    case StageState::kBlocked:
      return in::Blocked{};
    case StageState::kReady:
      return in::Ready{};
    case StageState::kCancelled:
      return in::Cancelled{};
    default:
      break;
  }
  BITSWEEP_CHECK(false) << "state " << ToString(state) << " needs a payload";
  return in::Waiting{};
}

}  // namespace

Stage::Stage(std::shared_ptr<const StageDefinition> definition, std::int64_t serial)
    : definition_(std::move(definition)), serial_(serial) {
  critical_path = definition_->cost_estimate;
}

Stage::Stage(std::shared_ptr<const StageDefinition> definition,
             std::int64_t serial,
             StagePayload payload,
             int attempt,
             int forgiven,
             FailureCounts failures)
    : definition_(std::move(definition)),
      serial_(serial),
      payload_(std::move(payload)),
      attempt_(attempt),
      forgiven_(forgiven),
      failures_(failures) {
  critical_path = definition_->cost_estimate;
}

bool Stage::FailedForGood() const {
  const auto* failed = std::get_if<in::Failed>(&payload_);
  return failed != nullptr && !failed->retry_at;
}

bool Stage::Imported() const {
  const auto* succeeded = std::get_if<in::Succeeded>(&payload_);
  return succeeded != nullptr && succeeded->lease == LeaseId();
}

bool Stage::Ended() const {
  return state() == StageState::kSucceeded || state() == StageState::kCancelled || FailedForGood();
}

const Holding* Stage::holding() const {
  if (const auto* leased = std::get_if<in::Leased>(&payload_)) {
    return &leased->holding;
  }
  const auto* running = std::get_if<in::Running>(&payload_);
  return running != nullptr ? &running->holding : nullptr;
}

Holding* Stage::mutable_holding() {
  if (auto* leased = std::get_if<in::Leased>(&payload_)) {
    return &leased->holding;
  }
  auto* running = std::get_if<in::Running>(&payload_);
  BITSWEEP_CHECK(running != nullptr)
      << key().value() << " is " << ToString(state()) << ", not held";
  return &running->holding;
}

Fence Stage::fence() const {
  const Holding* held = holding();
  BITSWEEP_CHECK(held != nullptr) << key().value() << " is " << ToString(state()) << ", not held";
  return Fence{key(), attempt_, held->lease};
}

const std::shared_ptr<const ArtifactManifest>& Stage::artifact() const {
  static const std::shared_ptr<const ArtifactManifest> kNone;
  const auto* succeeded = std::get_if<in::Succeeded>(&payload_);
  return succeeded != nullptr ? succeeded->artifact : kNone;
}

absl::Status Stage::Apply(StageTransition transition) {
  const StageEvent event = EventOf(transition);
  const std::optional<StageState> next = NextState(state(), event);
  if (!next) {
    return absl::FailedPreconditionError(
        Cat("stage ", key().value(), " is ", ToString(state()), ": no edge for ", ToString(event)));
  }
  switch (event) {
    case StageEvent::kAssign:
      ++attempt_;
      payload_ = in::Leased{std::move(std::get<on::Assign>(transition).holding)};
      break;
    case StageEvent::kStart: {
      Holding held = *holding();
      payload_ = in::Running{std::move(held), std::get<on::Start>(transition).at, {}};
      break;
    }
    case StageEvent::kLoseWorker:
      // A lease that was lost before its start was no attempt: the next one has its number.
      attempt_ -= state() == StageState::kLeased ? 1 : 0;
      payload_ = in::Ready{};
      break;
    case StageEvent::kSucceed: {
      const LeaseId lease = holding()->lease;
      payload_ = in::Succeeded{std::move(std::get<on::Succeed>(transition).artifact), lease};
      break;
    }
    case StageEvent::kFail: {
      auto& fail = std::get<on::Fail>(transition);
      const LeaseId lease = holding()->lease;
      payload_ = in::Failed{fail.failure, std::move(fail.message), fail.at, lease, fail.retry_at};
      break;
    }
    case StageEvent::kRetry:
      if (std::get<on::Retry>(transition).forgive) {
        forgiven_ = attempt_;
        failures_ = {};
      }
      payload_ = in::Ready{};
      break;
    default:
      payload_ = EmptyPayload(*next);
      break;
  }
  BITSWEEP_CHECK(state() == *next) << key().value() << " went to " << ToString(state())
                                   << " where the table says " << ToString(*next);
  return absl::OkStatus();
}

void Stage::Confirm(absl::Time at) {
  mutable_holding()->confirmed = at;
}

void Stage::SetProgress(Progress progress) {
  auto* running = std::get_if<in::Running>(&payload_);
  BITSWEEP_CHECK(running != nullptr)
      << key().value() << " is " << ToString(state()) << ", not running";
  running->progress = std::move(progress);
}

void Stage::Reattach(WorkerId worker, std::string worker_name, absl::Time at) {
  Holding* held = mutable_holding();
  held->worker = worker;
  held->worker_name = std::move(worker_name);
  held->confirmed = at;
  held->reattach_by.reset();
}

void Stage::ExpectReattach(absl::Time by) {
  mutable_holding()->reattach_by = by;
}

void Stage::CountFailure(FailureClass failure) {
  ++failures_.at(static_cast<std::size_t>(failure));
}

}  // namespace bitsweep
