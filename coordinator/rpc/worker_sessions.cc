#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <spdlog/spdlog.h>
#include <thread>

#include <absl/strings/str_cat.h>

#include "coordinator/rpc/services.h"

#include "proto/wire/session.h"

namespace bitsweep {
namespace {

/// Messages to one worker, from the core strand to the stream's writer thread.
class Outbox : public SessionSink {
 public:
  explicit Outbox(grpc::ServerContext* context) : context_(context) {}

  void Post(CoordinatorMessage message) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!closed_) {
      messages_.push_back(std::move(message));
      changed_.notify_one();
    }
  }

  void Close(absl::Status why) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) {
      return;
    }
    closed_ = true;
    why_ = std::move(why);
    changed_.notify_one();
    if (context_ != nullptr) {
      context_->TryCancel();  // Wakes the reader, which may wait for a worker that will never speak
                              // again.
    }
  }

  /// The stream's handler returns: the context must no longer be touched.
  absl::Status Detach() {
    const std::lock_guard<std::mutex> lock(mutex_);
    context_ = nullptr;
    closed_ = true;
    changed_.notify_one();
    return why_;
  }

  /// Blocks; nullopt after Close.
  std::optional<CoordinatorMessage> Next() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !messages_.empty(); });
    if (closed_) {
      return std::nullopt;
    }
    CoordinatorMessage message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<CoordinatorMessage> messages_;
  grpc::ServerContext* context_;
  bool closed_ = false;
  absl::Status why_;
};

using Stream = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>;

/// The first message of a stream must be Register.
absl::StatusOr<Registration> ReadRegistration(Stream* stream) {
  v1::WorkerMessage first;
  if (!stream->Read(&first)) {
    return absl::CancelledError("the stream ended before Register");
  }
  if (!first.has_register_()) {
    return absl::FailedPreconditionError("the first message of a session must be Register");
  }
  return wire::FromProto(first.register_());
}

}  // namespace

grpc::Status WorkerSessionsService::Session(grpc::ServerContext* context, Stream* stream) {
  absl::StatusOr<Registration> registration = ReadRegistration(stream);
  if (!registration.ok()) {
    return ToGrpc(registration.status());
  }
  const auto outbox = std::make_shared<Outbox>(context);
  const absl::StatusOr<WorkerId> worker = backend_.OpenSession(*registration, outbox);
  if (!worker.ok()) {
    outbox->Detach().IgnoreError();
    return ToGrpc(worker.status());
  }
  std::thread writer([stream, outbox, context] {
    while (std::optional<CoordinatorMessage> message = outbox->Next()) {
      if (!stream->Write(wire::ToProto(*message))) {
        context->TryCancel();
        return;
      }
    }
  });
  v1::WorkerMessage incoming;
  while (stream->Read(&incoming)) {
    absl::StatusOr<WorkerMessage> message = wire::FromProto(incoming);
    if (!message.ok()) {
      // A worker that sends what cannot be understood is of another build; dropping the message
      // alone could lose a result.
      spdlog::error("worker {} ({}) sent a message that is refused: {}",
                    registration->offer.name,
                    worker->value(),
                    message.status().ToString());
      outbox->Close(message.status());
      break;
    }
    backend_.Deliver(*worker, *std::move(message));
  }
  backend_.CloseSession(*worker, outbox.get());
  const absl::Status why = outbox->Detach();
  writer.join();
  return ToGrpc(why);
}

}  // namespace bitsweep
