#include "worker/rpc/grpc_blob_client.h"

#include <algorithm>
#include <fstream>
#include <grpc/support/time.h>
#include <utility>

#include <absl/strings/str_cat.h>
#include <grpcpp/client_context.h>

#include "bitsweep/v1/artifacts.grpc.pb.h"
#include "worker/rpc/channel.h"

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

// Missing is one look into a folder.
constexpr std::int64_t kMissingSecondsMax = 30;
// Of one request; the coordinator refuses more than 10'000.
constexpr std::size_t kMissingDigestsMax = 5'000;

/// Cancels a call when a stop is requested.
class CancelOnStop {
 public:
  CancelOnStop(grpc::ClientContext& context, std::stop_token stop)
      : callback_(std::move(stop), Cancel{&context}) {}

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  std::stop_callback<Cancel> callback_;
};

}  // namespace

struct GrpcBlobClient::State {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Artifacts::Stub> stub;
};

GrpcBlobClient::GrpcBlobClient(const std::string& server) : state_(std::make_unique<State>()) {
  state_->channel = Dial(server, "blobs");
  state_->stub = v1::Artifacts::NewStub(state_->channel);
}

GrpcBlobClient::~GrpcBlobClient() = default;

absl::StatusOr<std::vector<Digest>> GrpcBlobClient::Missing(const std::vector<Digest>& digests,
                                                            std::stop_token stop) {
  std::vector<Digest> missing;
  for (std::size_t begin = 0; begin < digests.size(); begin += kMissingDigestsMax) {
    v1::MissingRequest request;
    const std::size_t end = std::min(digests.size(), begin + kMissingDigestsMax);
    for (std::size_t i = begin; i < end; ++i) {
      request.add_sha256(digests[i].value());
    }
    grpc::ClientContext context;
    context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
                                      gpr_time_from_seconds(kMissingSecondsMax, GPR_TIMESPAN)));
    const CancelOnStop cancel(context, stop);
    v1::MissingResponse response;
    const grpc::Status status = state_->stub->Missing(&context, request, &response);
    if (!status.ok()) {
      return FromGrpc(status);
    }
    for (const std::string& digest : response.sha256()) {
      missing.emplace_back(digest);
    }
  }
  return missing;
}

absl::Status GrpcBlobClient::Upload(const Digest& digest,
                                    const std::string& path,
                                    std::int64_t size,
                                    std::stop_token stop) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::InternalError(absl::StrCat(path, ": cannot be opened"));
  }
  grpc::ClientContext context;
  const CancelOnStop cancel(context, std::move(stop));
  v1::UploadResponse response;
  const auto writer = state_->stub->Upload(&context, &response);
  v1::UploadPiece piece;
  piece.set_sha256(digest.value());
  piece.set_size(size);
  std::string buffer(static_cast<std::size_t>(kChunkBytes), '\0');
  bool is_first = true;
  while (is_first || file) {
    file.read(buffer.data(), kChunkBytes);
    const auto n = static_cast<std::size_t>(file.gcount());
    if (n == 0 && !is_first) {
      break;
    }
    piece.set_data(buffer.data(), n);
    if (!writer->Write(piece)) {
      break;  // Finish tells why.
    }
    piece.Clear();
    is_first = false;
  }
  writer->WritesDone();
  return FromGrpc(writer->Finish());
}

absl::Status GrpcBlobClient::Download(const Digest& digest,
                                      std::int64_t offset,
                                      const std::function<absl::Status(std::string_view)>& sink,
                                      std::stop_token stop) {
  grpc::ClientContext context;
  const CancelOnStop cancel(context, std::move(stop));
  v1::DownloadRequest request;
  request.set_sha256(digest.value());
  request.set_offset(offset);
  const auto reader = state_->stub->Download(&context, request);
  v1::DownloadPiece piece;
  absl::Status stored;
  while (stored.ok() && reader->Read(&piece)) {
    stored = sink(piece.data());
  }
  if (!stored.ok()) {
    context.TryCancel();
  }
  const absl::Status status = FromGrpc(reader->Finish());
  return stored.ok() ? status : stored;
}

}  // namespace bitsweep
