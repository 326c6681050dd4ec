#include "cli/status_feed.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include "cli/render/sweep_view.h"

namespace bitsweep::cli {
namespace {

// A coordinator that stops ends its streams in several ways, one of them a success; what tells is
// whether the sweep had ended. Refusals (no such sweep, not allowed) are final.
bool MayComeBack(const grpc::Status& end, bool sweep_ended) {
  switch (end.error_code()) {
    case grpc::StatusCode::OK:
      return !sweep_ended;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return true;
    default:
      return false;
  }
}

}  // namespace

StatusFeed::StatusFeed(Client& client, std::string sweep, Options options)
    : client_(client), sweep_(std::move(sweep)), options_(options), thread_([this] { Run(); }) {}

StatusFeed::~StatusFeed() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (reading_ != nullptr) {
      reading_->TryCancel();
    }
  }
  changed_.notify_all();
  thread_.join();
}

StatusFeed::View StatusFeed::Wait(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(
      lock, absl::ToChronoMilliseconds(timeout), [this] { return revision_ != seen_revision_; });
  seen_revision_ = revision_;
  return view_;
}

template <typename Change>
void StatusFeed::Update(Change change) {
  {
    const std::lock_guard lock(mutex_);
    change(view_);
    ++revision_;
  }
  changed_.notify_all();
}

// False when the feed is being destroyed.
bool StatusFeed::Sleep(absl::Duration duration) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(
      lock, absl::ToChronoMilliseconds(duration), [this] { return stopping_; });
}

grpc::Status StatusFeed::ReadOnce(v1::Sweeps::Stub& stub) {
  grpc::ClientContext context;
  v1::GetSweepRequest request;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return grpc::Status::CANCELLED;
    }
    request.set_sweep(view_.status.has_value() ? absl::StrCat(view_.status->summary().sweep())
                                               : sweep_);
    reading_ = &context;
  }
  const auto stream = stub.Watch(&context, request);
  v1::SweepStatus status;
  while (stream->Read(&status)) {
    Update([&](View& view) {
      view.reconnections += view.status.has_value() && !view.connected ? 1 : 0;
      view.connected = true;
      view.trouble.clear();
      view.status = status;
      ++view.updates;
    });
  }
  const grpc::Status end = stream->Finish();
  const std::lock_guard lock(mutex_);
  reading_ = nullptr;
  return end;
}

void StatusFeed::Run() {
  v1::Sweeps::Stub& stub = client_.sweeps();
  absl::Time lost_since = absl::InfiniteFuture();
  while (true) {
    const int updates_before = [&] {
      const std::lock_guard lock(mutex_);
      return view_.updates;
    }();
    const grpc::Status end = ReadOnce(stub);
    bool first = false;
    bool progressed = false;
    bool ended = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        return;
      }
      first = !view_.status.has_value();
      progressed = view_.updates != updates_before;
      ended = !first && HasEnded(view_.status->summary().state());
    }
    const bool away = MayComeBack(end, ended);
    if (progressed) {
      lost_since = absl::InfiniteFuture();
    }
    lost_since = std::min(lost_since, absl::Now());
    if (!away || first || absl::Now() - lost_since >= options_.give_up_after) {
      const absl::Status result = end.ok() ? absl::OkStatus() : client_.Explain(end);
      Update([&](View& view) {
        view.connected = false;
        view.finished = true;
        view.result = result;
      });
      return;
    }
    Update([&](View& view) {
      view.connected = false;
      view.trouble = end.error_message();
    });
    if (!Sleep(options_.retry_interval)) {
      return;
    }
  }
}

}  // namespace bitsweep::cli
