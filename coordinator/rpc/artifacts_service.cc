#include <absl/strings/str_cat.h>

#include "coordinator/rpc/services.h"
#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

// One request asks for the files of one artifact; the largest study's checkpoints have some hundred.
constexpr int kMissingDigestsMax = 10'000;

}  // namespace

grpc::Status ArtifactsService::Missing(grpc::ServerContext*,
                                       const v1::MissingRequest* request,
                                       v1::MissingResponse* response) {
  if (request->sha256_size() > kMissingDigestsMax) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            absl::StrCat(request->sha256_size(), " digests in one request; at most ", kMissingDigestsMax)};
  }
  std::vector<Digest> digests;
  for (const std::string& digest : request->sha256()) {
    digests.emplace_back(digest);
  }
  for (const Digest& digest : backend_.MissingBlobs(digests)) {
    response->add_sha256(digest.value());
  }
  return grpc::Status::OK;
}

grpc::Status ArtifactsService::Upload(grpc::ServerContext*,
                                      grpc::ServerReader<v1::UploadPiece>* reader,
                                      v1::UploadResponse*) {
  v1::UploadPiece piece;
  if (!reader->Read(&piece)) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "an upload begins with a piece that carries sha256 and size"};
  }
  const Digest digest(piece.sha256());
  absl::StatusOr<std::unique_ptr<BlobSink>> sink = backend_.StoreBlob(digest, piece.size());
  if (!sink.ok()) {
    return ToGrpc(sink.status());
  }
  do {
    if (absl::Status status = (*sink)->Write(piece.data()); !status.ok()) {
      return ToGrpc(status);
    }
  } while (reader->Read(&piece));
  return ToGrpc((*sink)->Finish());
}

grpc::Status ArtifactsService::Download(grpc::ServerContext*,
                                        const v1::DownloadRequest* request,
                                        grpc::ServerWriter<v1::DownloadPiece>* writer) {
  absl::StatusOr<std::unique_ptr<BlobReader>> blob = backend_.ReadBlob(Digest(request->sha256()), request->offset());
  if (!blob.ok()) {
    return ToGrpc(blob.status());
  }
  while (true) {
    absl::StatusOr<std::string> bytes = (*blob)->Read(kChunkBytes);
    if (!bytes.ok()) {
      return ToGrpc(bytes.status());
    }
    if (bytes->empty()) {
      return grpc::Status::OK;
    }
    v1::DownloadPiece piece;
    piece.set_data(*std::move(bytes));
    if (!writer->Write(piece)) {
      return {grpc::StatusCode::CANCELLED, "the reader went away"};
    }
  }
}

}  // namespace bitsweep
