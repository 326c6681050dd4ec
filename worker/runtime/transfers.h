// Bytes between this machine and the coordinator: inputs into the cache, outputs out of a stage's
// folder. What arrives is verified by digest and published by rename. While the coordinator is away
// every call waits and tries again until it is stopped.
// Blocking; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "worker/agent/blob_client.h"
#include "worker/runtime/cache.h"

#include "proto/contract/stage.h"

namespace bitsweep {

/// Told how many bytes of how many have been moved.
using BytesMoved = std::function<void(std::int64_t done, std::int64_t total)>;

class Transfers {
 public:
  /// Both must outlive this.
  Transfers(Cache& cache, BlobClient& client) : cache_(cache), client_(client) {}

  /// The blob's place in the cache, fetched when it was not there. NOT_FOUND: the coordinator does
  /// not hold it. DATA_LOSS: other bytes arrived. RESOURCE_EXHAUSTED: the disk is full.
  absl::StatusOr<Cache::Hold> Blob(const Digest& digest,
                                   const BytesMoved& moved,
                                   std::stop_token stop);

  /// The folder of an artifact's files in the cache: hold.path() + kArtifactFilesFolder. Files that
  /// are there and are those of `manifest` are not fetched again.
  absl::StatusOr<Cache::Hold> Artifact(const StageKey& stage,
                                       const ArtifactManifest& manifest,
                                       const BytesMoved& moved,
                                       std::stop_token stop);

  /// Every file below `folder` with its digest, sorted by name. FAILED_PRECONDITION: something that
  /// is not a regular file or has no proper name, no file at all, or too many.
  static absl::StatusOr<std::vector<ArtifactFile>> HashFiles(const std::string& folder,
                                                             std::stop_token stop);

  /// Sends what the coordinator lacks of `files` below `folder`.
  absl::Status Upload(const std::string& folder,
                      const std::vector<ArtifactFile>& files,
                      const BytesMoved& moved,
                      std::stop_token stop);

  /// Moves a stage's output folder into the cache as its artifact. An artifact of that stage that
  /// is there already is replaced.
  absl::Status Keep(const StageKey& stage,
                    const std::string& folder,
                    const std::vector<ArtifactFile>& files);

 private:
  absl::Status FetchTo(const std::string& path,
                       const Digest& digest,
                       const std::function<void(std::int64_t)>& moved,
                       std::stop_token stop);
  absl::Status FetchFiles(const std::string& folder,
                          const ArtifactManifest& manifest,
                          const BytesMoved& moved,
                          std::stop_token stop);
  absl::Status Retry(std::stop_token stop, const std::function<absl::Status()>& call);

  Cache& cache_;
  BlobClient& client_;
};

inline constexpr const char* kArtifactFilesFolder = "/files";

}  // namespace bitsweep
