// A BlobClient that holds its blobs in memory and misbehaves when told to. Any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/worker/scratch_folder.h"
#include "worker/agent/blob_client.h"

#include "proto/base/digest.h"

namespace bitsweep {

class MemoryBlobs : public BlobClient {
 public:
  Digest Add(const std::string& bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Digest digest(Sha256Hex(bytes));
    blobs_[digest] = bytes;
    return digest;
  }
  bool Has(const Digest& digest) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return blobs_.contains(digest);
  }

  absl::StatusOr<std::vector<Digest>> Missing(const std::vector<Digest>& digests,
                                              std::stop_token) override {
    if (IsAway()) {
      return absl::UnavailableError("away");
    }
    std::vector<Digest> missing;
    for (const Digest& digest : digests) {
      if (!Has(digest)) {
        missing.push_back(digest);
      }
    }
    return missing;
  }
  absl::Status Upload(const Digest& digest,
                      const std::string& path,
                      std::int64_t size,
                      std::stop_token) override {
    const std::string bytes = ScratchFolder::Read(path);
    if (static_cast<std::int64_t>(bytes.size()) != size || Sha256Hex(bytes) != digest.value()) {
      return absl::InvalidArgumentError("not the bytes that were announced");
    }
    Add(bytes);
    ++uploads;
    return absl::OkStatus();
  }
  absl::Status Download(const Digest& digest,
                        std::int64_t offset,
                        const std::function<absl::Status(std::string_view)>& sink,
                        std::stop_token) override {
    ++downloads;
    if (!Has(digest)) {
      return absl::NotFoundError("no such blob");
    }
    std::string bytes;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      bytes = blobs_[digest];
    }
    if (spoil) {
      bytes[0] ^= 1;
    }
    // While it is away, a call gives half of what is left and breaks.
    const bool breaks = IsAway();
    const auto begin = static_cast<std::size_t>(offset);
    const std::size_t count = breaks ? (bytes.size() - begin) / 2 : std::string::npos;
    if (absl::Status status = sink(std::string_view(bytes).substr(begin, count)); !status.ok()) {
      return status;
    }
    return breaks ? absl::UnavailableError("broken off") : absl::OkStatus();
  }

  std::atomic<int> downloads = 0, uploads = 0;
  std::atomic<int> away = 0;  // So many calls meet a coordinator that is away.
  std::atomic<bool> spoil = false;

 private:
  bool IsAway() {
    int left = away;
    while (left > 0 && !away.compare_exchange_weak(left, left - 1)) {
    }
    return left > 0;
  }

  std::mutex mutex_;
  std::map<Digest, std::string> blobs_;
};

}  // namespace bitsweep
