// The worker's folder: inputs and artifacts that may be used again, with a limit on their size, and
// the places of running stages. Least recently used entries go first; what is in use stays.
//
//   DIR/lock, worker-id       one agent a folder; a name that outlives a restart
//   DIR/blobs/<sha256>        benchmarks and calibration texts
//   DIR/artifacts/<key>/      manifest.json and files/: what a stage published
//   DIR/stages/<key>/         output and spec of a stage that runs, or that can be resumed
//   DIR/logs/<key>-<attempt>-<lease>.log
//   DIR/results/, models.json results not acknowledged yet; identities of models
//   DIR/tmp/                  emptied at start
//
// Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "worker/runtime/unique_fd.h"

namespace bitsweep {

enum class CacheRoom {
  kBlobs,
  kArtifacts,
  kStages,
  kLogs
};

class Cache {
 public:
  /// One entry, in use by one thread: it is not evicted, and no other thread has it in hand, while
  /// this lives. Whoever takes an entry that is not there yet may make it. Movable.
  class Hold {
   public:
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold();
    /// The entry's path, whether or not something is there.
    const std::string& path() const { return path_; }
    /// Lets others take the entry at the same time, for reading; it stays pinned.
    void Share();

   private:
    friend class Cache;
    Hold(Cache* cache, CacheRoom room, std::string name);
    Cache* cache_;
    CacheRoom room_;
    std::string name_, path_;
    bool shared_ = false;
  };

  /// FAILED_PRECONDITION: another agent uses the folder. INTERNAL: it cannot be made.
  /// `bytes_max` 0: four fifths of what is free now and what the cache already takes.
  static absl::StatusOr<std::unique_ptr<Cache>> Open(const std::string& folder,
                                                     std::int64_t bytes_max);

  /// Waits while another thread has the entry in hand.
  Hold Take(CacheRoom room, const std::string& name);
  /// A path in tmp/ that nobody else uses; a rename from there into a room is atomic.
  std::string NewTemporary();

  const std::string& folder() const { return folder_; }
  /// Different for every cache folder on this machine; for as long as the folder exists.
  const std::string& mark() const { return mark_; }
  /// Six hexadecimal digits made with the folder.
  const std::string& id() const { return id_; }
  std::int64_t bytes() const;

 private:
  struct Entry {
    std::int64_t bytes = 0;
    std::int64_t last_use = 0;  // A counter; entries found at start are ordered by modification.
    int pins = 0;
    bool taken = false;
  };
  using Key = std::pair<CacheRoom, std::string>;

  explicit Cache(std::string folder) : folder_(std::move(folder)) {}
  absl::Status Prepare(std::int64_t bytes_max);
  absl::Status Lock();
  absl::Status LoadId();
  void Scan();
  void Release(const Key& key, bool shared);
  void Evict();
  std::string PathOf(CacheRoom room, const std::string& name) const;

  const std::string folder_;
  std::string mark_, id_;
  UniqueFd lock_;
  std::int64_t bytes_max_ = 0;

  mutable std::mutex mutex_;  // Protects what follows.
  std::condition_variable released_;
  std::map<Key, Entry> entries_;
  std::int64_t uses_ = 0, temporaries_ = 0;
};

}  // namespace bitsweep
