#include "worker/rpc/session_client.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <spdlog/spdlog.h>
#include <thread>
#include <utility>

#include <absl/strings/str_cat.h>
#include <grpcpp/client_context.h>

#include "bitsweep/v1/worker.grpc.pb.h"
#include "worker/rpc/channel.h"

#include "proto/wire/session.h"

namespace bitsweep {
namespace {

// Messages that wait for a stalled coordinator. A worker makes a few a second; whoever is this far
// behind is dropped and told anew in the next session.
constexpr std::size_t kOutgoingMax = 10'000;
// How long Close waits for the coordinator to end its side.
constexpr auto kCloseTimeout = std::chrono::seconds(3);

}  // namespace

struct SessionClient::Dialing {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::WorkerSessions::Stub> stub;
  Post post;
  SessionListener* listener = nullptr;
};

/// One stream, from its opening to OnDisconnected.
class SessionClient::Session {
 public:
  Session(Dialing& dialing, const Registration& registration)
      : dialing_(dialing), stream_(dialing.stub->Session(&context_)) {
    outgoing_.push_back(wire::ToProto(registration));
    writer_ = std::thread([this] { Write(); });
    reader_ = std::thread([this] { Read(); });
  }

  ~Session() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      done_ = true;
      changed_.notify_all();
    }
    context_.TryCancel();
    reader_.join();
  }

  void Send(const WorkerMessage& message) { Push(wire::ToProto(message)); }

  void Close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }

 private:
  void Push(v1::WorkerMessage message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (outgoing_.size() >= kOutgoingMax) {
      context_.TryCancel();
      return;
    }
    outgoing_.push_back(std::move(message));
    changed_.notify_all();
  }

  /// The next message to write; nullopt when there will be none.
  std::optional<v1::WorkerMessage> Next() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return done_ || closing_ || !outgoing_.empty(); });
    if (done_ || outgoing_.empty()) {
      return std::nullopt;
    }
    v1::WorkerMessage message = std::move(outgoing_.front());
    outgoing_.pop_front();
    return message;
  }

  void Write() {
    while (const std::optional<v1::WorkerMessage> message = Next()) {
      if (!stream_->Write(*message)) {
        return;  // The reader learns why.
      }
    }
    std::unique_lock<std::mutex> lock(mutex_);
    if (done_) {
      return;
    }
    lock.unlock();
    stream_->WritesDone();
    lock.lock();
    if (!changed_.wait_for(lock, kCloseTimeout, [this] { return done_; })) {
      context_.TryCancel();
    }
  }

  void Read() {
    v1::CoordinatorMessage incoming;
    while (stream_->Read(&incoming)) {
      Receive(incoming);
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      done_ = true;
      changed_.notify_all();
    }
    writer_.join();  // Finish comes after every write.
    absl::Status status = FromGrpc(stream_->Finish());
    if (status.ok()) {
      status = absl::UnavailableError("the coordinator ended the session");
    }
    dialing_.post([dialing = &dialing_, status] { dialing->listener->OnDisconnected(status); });
  }

  void Receive(const v1::CoordinatorMessage& incoming) {
    if (incoming.has_leases()) {
      // One lease that cannot be understood must not cost the others, nor the session.
      for (const v1::Assignment& lease : incoming.leases().assignments()) {
        if (absl::StatusOr<Assignment> assignment = wire::FromProto(lease); assignment.ok()) {
          Tell(*std::move(assignment));
        } else {
          Refuse(lease, assignment.status());
        }
      }
      return;
    }
    absl::StatusOr<std::vector<CoordinatorMessage>> messages = wire::FromProto(incoming);
    if (!messages.ok()) {
      spdlog::error("a message of the coordinator is not understood and left out: {}",
                    messages.status().ToString());
      return;
    }
    for (CoordinatorMessage& message : *messages) {
      Tell(std::move(message));
    }
  }

  void Tell(CoordinatorMessage message) {
    dialing_.post([dialing = &dialing_, message = std::move(message)] {
      dialing->listener->OnMessage(message);
    });
  }

  void Refuse(const v1::Assignment& lease, const absl::Status& status) {
    spdlog::error("a lease is not understood: {}", status.ToString());
    if (absl::StatusOr<Fence> fence = wire::FromProto(lease.fence()); fence.ok()) {
      Push(wire::ToProto(WorkerMessage(StageFailed{
          .fence = *std::move(fence),
          .failure = FailureClass::kBug,
          .message = absl::StrCat("the worker does not understand the lease: ", status.ToString()),
          .log_tail = ""})));
    }
  }

  Dialing& dialing_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<v1::WorkerMessage> outgoing_;
  bool closing_ = false, done_ = false;
  std::thread reader_, writer_;  // The reader joins the writer.
};

SessionClient::SessionClient(const std::string& server, Post post)
    : dialing_(std::make_unique<Dialing>()) {
  dialing_->channel = Dial(server, "session");
  dialing_->stub = v1::WorkerSessions::NewStub(dialing_->channel);
  dialing_->post = std::move(post);
}

SessionClient::~SessionClient() = default;

void SessionClient::SetListener(SessionListener* listener) {
  dialing_->listener = listener;
}

void SessionClient::Connect(const Registration& registration) {
  session_.reset();  // Its threads have ended, or are about to.
  session_ = std::make_unique<Session>(*dialing_, registration);
}

void SessionClient::Send(const WorkerMessage& message) {
  if (session_ != nullptr) {
    session_->Send(message);
  }
}

void SessionClient::Close() {
  if (session_ != nullptr) {
    session_->Close();
  }
}

}  // namespace bitsweep
