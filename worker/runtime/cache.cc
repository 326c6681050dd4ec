#include "worker/runtime/cache.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <random>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "worker/runtime/files.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;

constexpr std::array kRooms = {
    CacheRoom::kBlobs, CacheRoom::kArtifacts, CacheRoom::kStages, CacheRoom::kLogs};

const char* FolderOf(CacheRoom room) {
  switch (room) {
    case CacheRoom::kBlobs:
      return "blobs";
    case CacheRoom::kArtifacts:
      return "artifacts";
    case CacheRoom::kStages:
      return "stages";
    case CacheRoom::kLogs:
      return "logs";
  }
  return "";
}

std::int64_t BytesBelow(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    return static_cast<std::int64_t>(fs::file_size(path, error));
  }
  std::int64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path, error)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored) && !entry.is_symlink(ignored)) {
      bytes += static_cast<std::int64_t>(entry.file_size(ignored));
    }
  }
  return bytes;
}

}  // namespace

Cache::Hold::Hold(Cache* cache, CacheRoom room, std::string name)
    : cache_(cache), room_(room), name_(std::move(name)), path_(cache->PathOf(room, name_)) {}

Cache::Hold::Hold(Hold&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      room_(other.room_),
      name_(std::move(other.name_)),
      path_(std::move(other.path_)),
      shared_(other.shared_) {}

Cache::Hold::~Hold() {
  if (cache_ != nullptr) {
    cache_->Release({room_, name_}, shared_);
  }
}

void Cache::Hold::Share() {
  const std::lock_guard<std::mutex> lock(cache_->mutex_);
  cache_->entries_[{room_, name_}].taken = false;
  shared_ = true;
  cache_->released_.notify_all();
}

absl::StatusOr<std::unique_ptr<Cache>> Cache::Open(const std::string& folder,
                                                   std::int64_t bytes_max) {
  std::unique_ptr<Cache> cache(new Cache(folder));
  BITSWEEP_RETURN_IF_ERROR(cache->Prepare(bytes_max));
  return cache;
}

absl::Status Cache::Prepare(std::int64_t bytes_max) {
  BITSWEEP_RETURN_IF_ERROR(MakeFolder(folder_));
  BITSWEEP_RETURN_IF_ERROR(Lock());
  RemoveAll(folder_ + "/tmp");
  BITSWEEP_RETURN_IF_ERROR(MakeFolder(folder_ + "/tmp"));
  for (const CacheRoom room : kRooms) {
    BITSWEEP_RETURN_IF_ERROR(MakeFolder(absl::StrCat(folder_, "/", FolderOf(room))));
  }
  BITSWEEP_RETURN_IF_ERROR(LoadId());
  Scan();
  bytes_max_ = bytes_max;
  if (bytes_max_ == 0) {
    std::error_code error;
    const auto available = static_cast<std::int64_t>(fs::space(folder_, error).available);
    bytes_max_ = (available + bytes()) / 5 * 4;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  Evict();
  return absl::OkStatus();
}

absl::Status Cache::Lock() {
  const std::string path = folder_ + "/lock";
  lock_.Reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  struct stat found {};
  if (!lock_.is_open() || ::fstat(lock_.get(), &found) != 0) {
    return ErrnoStatus(errno, path);
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the cache folder ",
                     folder_,
                     " is in use by another worker; give each worker a --cache-dir of its own"));
  }
  mark_ = absl::StrCat(found.st_dev, ":", found.st_ino);
  return absl::OkStatus();
}

absl::Status Cache::LoadId() {
  const std::string path = folder_ + "/worker-id";
  if (absl::StatusOr<std::string> id = ReadFile(path); id.ok() && id->size() == 6) {
    id_ = *std::move(id);
    return absl::OkStatus();
  }
  std::random_device random;
  id_ = absl::StrFormat("%06x", random() & 0xFFFFFFU);
  return WriteFileDurably(path, id_);
}

void Cache::Scan() {
  std::vector<std::pair<fs::file_time_type, Key>> found;
  for (const CacheRoom room : kRooms) {
    std::error_code error;
    for (const auto& entry :
         fs::directory_iterator(absl::StrCat(folder_, "/", FolderOf(room)), error)) {
      found.push_back({entry.last_write_time(error), {room, entry.path().filename()}});
    }
  }
  std::sort(found.begin(), found.end());
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [time, key] : found) {
    entries_[key] = {.bytes = BytesBelow(PathOf(key.first, key.second)), .last_use = ++uses_};
  }
}

std::string Cache::PathOf(CacheRoom room, const std::string& name) const {
  return absl::StrCat(folder_, "/", FolderOf(room), "/", name);
}

std::int64_t Cache::bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::int64_t bytes = 0;
  for (const auto& [key, entry] : entries_) {
    bytes += entry.bytes;
  }
  return bytes;
}

Cache::Hold Cache::Take(CacheRoom room, const std::string& name) {
  std::unique_lock<std::mutex> lock(mutex_);
  // The key is looked up again after each wait: a release may have erased the entry.
  released_.wait(lock, [&] {
    const auto found = entries_.find({room, name});
    return found == entries_.end() || !found->second.taken;
  });
  Entry& entry = entries_[{room, name}];
  entry.taken = true;
  ++entry.pins;
  return Hold(this, room, name);
}

void Cache::Release(const Key& key, bool shared) {
  const std::string path = PathOf(key.first, key.second);
  const std::int64_t bytes = BytesBelow(path);
  std::error_code error;
  const bool exists = fs::exists(path, error);
  // The order of use survives a restart as modification times.
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  const std::lock_guard<std::mutex> lock(mutex_);
  Entry& entry = entries_[key];
  --entry.pins;
  entry.bytes = bytes;
  entry.last_use = ++uses_;
  if (!shared) {
    entry.taken = false;
  }
  if (!exists && entry.pins == 0 && !entry.taken) {
    entries_.erase(key);
  }
  released_.notify_all();
  Evict();
}

void Cache::Evict() {
  while (true) {
    std::int64_t total = 0;
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      total += it->second.bytes;
      if (it->second.pins == 0 &&
          (oldest == entries_.end() || it->second.last_use < oldest->second.last_use)) {
        oldest = it;
      }
    }
    if (total <= bytes_max_ || oldest == entries_.end()) {
      return;
    }
    const std::string path = PathOf(oldest->first.first, oldest->first.second);
    spdlog::info("cache: {} goes, {} of {} bytes are in use", path, total, bytes_max_);
    RemoveAll(path);
    entries_.erase(oldest);
  }
}

std::string Cache::NewTemporary() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return absl::StrCat(folder_, "/tmp/", ++temporaries_);
}

}  // namespace bitsweep
