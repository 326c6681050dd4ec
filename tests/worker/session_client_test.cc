// SessionClient and GrpcBlobClient against a gRPC server in this process.
#include "worker/rpc/session_client.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "bitsweep/v1/artifacts.grpc.pb.h"
#include "bitsweep/v1/worker.grpc.pb.h"
#include "tests/worker/scratch_folder.h"
#include "worker/rpc/grpc_blob_client.h"

#include "proto/contract/limits.h"
#include "proto/wire/session.h"

namespace bitsweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kDeadline = std::chrono::seconds(60);  // Only a broken build reaches it.

template <typename T>
class Queue {
 public:
  void Push(T value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  std::optional<T> Pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, kDeadline, [this] { return !values_.empty(); })) {
      return std::nullopt;
    }
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

/// Answers Register with `greeting`, then tells what it hears.
class FakeSessions : public v1::WorkerSessions::Service {
 public:
  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* stream) override {
    v1::WorkerMessage incoming;
    while (stream->Read(&incoming)) {
      heard.Push(incoming);
      if (incoming.has_register_()) {
        if (!refusal.ok()) {
          return refusal;
        }
        for (const v1::CoordinatorMessage& message : greeting) {
          stream->Write(message);
        }
      }
    }
    return context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK;
  }

  std::vector<v1::CoordinatorMessage> greeting;
  grpc::Status refusal;
  Queue<v1::WorkerMessage> heard;
};

class FakeArtifacts : public v1::Artifacts::Service {
 public:
  grpc::Status Missing(grpc::ServerContext*,
                       const v1::MissingRequest* request,
                       v1::MissingResponse* response) override {
    if (request->sha256_size() > 10'000) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "too many"};
    }
    *response->mutable_sha256() = request->sha256();
    return grpc::Status::OK;
  }
  grpc::Status Upload(grpc::ServerContext*,
                      grpc::ServerReader<v1::UploadPiece>* reader,
                      v1::UploadResponse*) override {
    v1::UploadPiece piece;
    pieces = 0;
    uploaded.clear();
    while (reader->Read(&piece)) {
      if (pieces == 0) {
        announced = piece.size();
        digest = piece.sha256();
      }
      uploaded += piece.data();
      ++pieces;
    }
    return upload_status;
  }
  grpc::Status Download(grpc::ServerContext*,
                        const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadPiece>* writer) override {
    for (char c : content.substr(static_cast<std::size_t>(request->offset()))) {
      v1::DownloadPiece piece;
      piece.set_data(std::string(1, c));
      if (!writer->Write(piece)) {
        return grpc::Status::CANCELLED;
      }
    }
    return grpc::Status::OK;
  }

  std::string uploaded, digest, content = "0123456789";
  std::int64_t announced = -1;
  int pieces = 0;
  grpc::Status upload_status;
};

class RpcTest : public ::testing::Test, public SessionListener {
 protected:
  RpcTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&sessions_);
    builder.RegisterService(&artifacts_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~RpcTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  void OnMessage(const CoordinatorMessage& message) override { messages_.push_back(message); }
  void OnDisconnected(const absl::Status& status) override { disconnected_ = status; }

  std::unique_ptr<SessionClient> Connect() {
    auto client = std::make_unique<SessionClient>(
        address_, [this](std::function<void()> call) { calls_.Push(std::move(call)); });
    client->SetListener(this);
    WorkerOffer offer;
    offer.name = "w";
    client->Connect({.offer = offer, .held = {SomeFence()}});
    return client;
  }
  static Fence SomeFence() {
    return {.stage = StageKey(std::string(64, 'a')), .attempt = 1, .lease = LeaseId(1)};
  }
  void RunCalls(const std::function<bool()>& done) {
    while (!done()) {
      const auto call = calls_.Pop();
      ASSERT_TRUE(call.has_value()) << "nothing came for a minute";
      (*call)();
    }
  }

  FakeSessions sessions_;
  FakeArtifacts artifacts_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  Queue<std::function<void()>> calls_;
  std::vector<CoordinatorMessage> messages_;
  std::optional<absl::Status> disconnected_;
};

v1::CoordinatorMessage Greeting() {
  return wire::ToProto(Registered{WorkerId(5), kHeartbeatInterval, {}});
}

TEST_F(RpcTest, MessagesGoBothWaysAndCloseSendsWhatIsQueued) {
  sessions_.greeting = {Greeting()};
  const auto client = Connect();
  RunCalls([&] { return messages_.size() == 1; });
  EXPECT_EQ(std::get<Registered>(messages_[0]).worker, WorkerId(5));
  client->Send(StageStarted{SomeFence()});
  client->Send(Goodbye{"bye"});
  client->Close();
  EXPECT_EQ(sessions_.heard.Pop()->register_().offer().name(), "w");
  EXPECT_TRUE(sessions_.heard.Pop()->has_started());
  EXPECT_TRUE(sessions_.heard.Pop()->has_goodbye());
  RunCalls([&] { return disconnected_.has_value(); });
}

TEST_F(RpcTest, ARefusalReachesTheListener) {
  sessions_.refusal = {grpc::StatusCode::FAILED_PRECONDITION, "not you"};
  const auto client = Connect();
  RunCalls([&] { return disconnected_.has_value(); });
  EXPECT_EQ(disconnected_->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(disconnected_->message(), "not you");
}

TEST_F(RpcTest, ACoordinatorThatIsNotThereIsUnavailable) {
  server_->Shutdown(std::chrono::system_clock::now());
  const auto client = Connect();
  RunCalls([&] { return disconnected_.has_value(); });
  EXPECT_EQ(disconnected_->code(), absl::StatusCode::kUnavailable);
}

TEST_F(RpcTest, ASessionCanBeOpenedAgain) {
  sessions_.greeting = {Greeting()};
  const auto client = Connect();
  RunCalls([&] { return messages_.size() == 1; });
  client->Close();
  RunCalls([&] { return disconnected_.has_value(); });
  WorkerOffer offer;
  offer.name = "w";
  client->Connect({.offer = offer, .held = {}});
  RunCalls([&] { return messages_.size() == 2; });
}

TEST_F(RpcTest, ALeaseThatIsNotUnderstoodIsAnsweredAndTheOthersGoOn) {
  Assignment good;
  good.fence = SomeFence();
  good.stage.key = good.fence.stage;
  good.stage.parameters = good.stage.spec = "{}";
  v1::CoordinatorMessage leases = wire::ToProto(CoordinatorMessage(good));
  v1::Assignment bad = leases.leases().assignments(0);
  bad.mutable_fence()->set_lease(2);
  bad.mutable_stage()->set_kind(static_cast<v1::StageKind>(77));
  *leases.mutable_leases()->add_assignments() = bad;
  sessions_.greeting = {Greeting(), leases};
  const auto client = Connect();
  RunCalls([&] { return messages_.size() == 2; });
  EXPECT_EQ(std::get<Assignment>(messages_[1]).fence, good.fence);
  sessions_.heard.Pop();
  const auto answer = sessions_.heard.Pop();
  ASSERT_TRUE(answer && answer->has_failed());
  EXPECT_EQ(answer->failed().fence().lease(), 2);
  EXPECT_THAT(answer->failed().message(), HasSubstr("77"));
}

TEST_F(RpcTest, UploadsComeInPiecesWithDigestAndSizeInTheFirst) {
  const ScratchFolder scratch;
  const std::string bytes(static_cast<std::size_t>(kChunkBytes) * 5 / 2, 'x');
  GrpcBlobClient client(address_);
  const std::int64_t size = static_cast<std::int64_t>(bytes.size());
  ASSERT_TRUE(client.Upload(Digest("d"), scratch.Write("f", bytes), size, {}).ok());
  EXPECT_EQ(artifacts_.uploaded, bytes);
  EXPECT_EQ(artifacts_.announced, size);
  EXPECT_EQ(artifacts_.digest, "d");
  EXPECT_EQ(artifacts_.pieces, 3);
  ASSERT_TRUE(client.Upload(Digest("e"), scratch.Write("empty", ""), 0, {}).ok());
  EXPECT_EQ(artifacts_.digest, "e");
  EXPECT_EQ(artifacts_.pieces, 1);
  artifacts_.upload_status = {grpc::StatusCode::DATA_LOSS, "other bytes"};
  EXPECT_EQ(client.Upload(Digest("d"), scratch / "f", size, {}).code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(RpcTest, DownloadsBeginAtTheOffsetAndEndWithTheSinksError) {
  GrpcBlobClient client(address_);
  std::string got;
  const auto keep = [&](std::string_view bytes) {
    got += bytes;
    return absl::OkStatus();
  };
  ASSERT_TRUE(client.Download(Digest("d"), 4, keep, {}).ok());
  EXPECT_EQ(got, "456789");
  const auto refuse = [](std::string_view) { return absl::ResourceExhaustedError("full"); };
  EXPECT_EQ(client.Download(Digest("d"), 0, refuse, {}).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(RpcTest, ManyDigestsAreAskedForInSeveralRequests) {
  GrpcBlobClient client(address_);
  const std::vector<Digest> digests(20'001, Digest(std::string(64, 'a')));
  const auto missing = client.Missing(digests, {});
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_EQ(missing->size(), digests.size());
}

}  // namespace
}  // namespace bitsweep
