#include "worker/runtime/transfers.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <spdlog/spdlog.h>

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>

#include "worker/runtime/file_stamp.h"
#include "worker/runtime/files.h"
#include "worker/runtime/limits.h"

#include "proto/base/digest.h"
#include "proto/base/names.h"
#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool IsAway(const absl::Status& status) {
  // CANCELLED: a coordinator that shuts down cancels its calls. A stop of ours is looked at first.
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
}

/// Waits, but not beyond a stop.
void Pause(absl::Duration duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock<std::mutex> lock(mutex);
  never.wait_for(lock, stop, absl::ToChronoNanoseconds(duration), [] { return false; });
}

/// The manifest beside an artifact's files: name -> digest and stamp, so that a file that somebody
/// changed is not taken for the original.
json RecordOf(const std::string& folder, const std::vector<ArtifactFile>& files) {
  json record = json::object();
  for (const ArtifactFile& file : files) {
    const absl::StatusOr<FileStamp> stamp = StampOf(folder + "/" + file.name);
    if (stamp.ok()) {
      record[file.name] = {{"sha256", file.digest.value()}, {"stamp", ToJson(*stamp)}};
    }
  }
  return record;
}

/// Whether the artifact at `path` consists of exactly these files, unchanged.
bool IsThere(const std::string& path, const std::vector<ArtifactFile>& files) {
  const absl::StatusOr<std::string> text = ReadFile(path + "/manifest.json");
  if (!text.ok()) {
    return false;
  }
  return json::parse(*text, nullptr, /*allow_exceptions=*/false) ==
             RecordOf(path + kArtifactFilesFolder, files) &&
         json::parse(*text).size() == files.size();
}

}  // namespace

absl::Status Transfers::Retry(std::stop_token stop, const std::function<absl::Status()>& call) {
  absl::Duration delay = kTransferRetryMin;
  while (true) {
    if (stop.stop_requested()) {
      return absl::CancelledError("stopped");
    }
    absl::Status status = call();
    if (stop.stop_requested() && !status.ok()) {
      return absl::CancelledError("stopped");
    }
    if (!IsAway(status)) {
      return status;
    }
    spdlog::debug("the coordinator is away ({}), trying again", status.ToString());
    Pause(delay, stop);
    delay = std::min(2 * delay, kTransferRetryMax);
  }
}

absl::Status Transfers::FetchTo(const std::string& path,
                                const Digest& digest,
                                const std::function<void(std::int64_t)>& moved,
                                std::stop_token stop) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.is_open()) {
    return ErrnoStatus(errno, path);
  }
  Sha256 hash;
  std::int64_t offset = 0;
  const auto sink = [&](std::string_view bytes) -> absl::Status {
    hash.Update(bytes);
    offset += static_cast<std::int64_t>(bytes.size());
    while (!bytes.empty()) {
      const ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
      if (n < 0) {
        return ErrnoStatus(errno, path);
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    moved(offset);
    return absl::OkStatus();
  };
  // A try after a broken connection goes on where the last one stopped.
  BITSWEEP_RETURN_IF_ERROR(
      Retry(stop, [&] { return client_.Download(digest, offset, sink, stop); }));
  const std::string found = hash.Finish();
  if (found != digest.value()) {
    return absl::DataLossError(absl::StrCat(
        "blob ", digest.value(), ": ", offset, " bytes of digest ", found, " arrived"));
  }
  return ::fsync(file.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path);
}

absl::StatusOr<Cache::Hold> Transfers::Blob(const Digest& digest,
                                            const BytesMoved& moved,
                                            std::stop_token stop) {
  Cache::Hold hold = cache_.Take(CacheRoom::kBlobs, digest.value());
  if (!fs::exists(hold.path())) {
    const std::string temporary = cache_.NewTemporary();
    absl::Status status = FetchTo(
        temporary, digest, [&](std::int64_t bytes) { moved(bytes, 0); }, stop);
    if (status.ok()) {
      status = Rename(temporary, hold.path());
    }
    if (!status.ok()) {
      RemoveAll(temporary);
      return status;
    }
    BITSWEEP_RETURN_IF_ERROR(SyncFolder(fs::path(hold.path()).parent_path()));
  }
  hold.Share();
  return hold;
}

absl::Status Transfers::FetchFiles(const std::string& folder,
                                   const ArtifactManifest& manifest,
                                   const BytesMoved& moved,
                                   std::stop_token stop) {
  std::int64_t total = 0;
  for (const ArtifactFile& file : manifest.files) {
    total += file.size;
  }
  std::int64_t done = 0;
  for (const ArtifactFile& file : manifest.files) {
    BITSWEEP_RETURN_IF_ERROR(CheckRelativePath(file.name));
    const std::string path = folder + "/" + file.name;
    BITSWEEP_RETURN_IF_ERROR(MakeFolder(fs::path(path).parent_path()));
    BITSWEEP_RETURN_IF_ERROR(FetchTo(
        path, file.digest, [&](std::int64_t bytes) { moved(done + bytes, total); }, stop));
    done += file.size;
  }
  return absl::OkStatus();
}

absl::StatusOr<Cache::Hold> Transfers::Artifact(const StageKey& stage,
                                                const ArtifactManifest& manifest,
                                                const BytesMoved& moved,
                                                std::stop_token stop) {
  Cache::Hold hold = cache_.Take(CacheRoom::kArtifacts, stage.value());
  if (!IsThere(hold.path(), manifest.files)) {
    const std::string temporary = cache_.NewTemporary();
    BITSWEEP_RETURN_IF_ERROR(MakeFolder(temporary));
    const absl::Status status = FetchFiles(temporary, manifest, moved, stop);
    if (!status.ok()) {
      RemoveAll(temporary);
      return status;
    }
    RemoveAll(hold.path());
    BITSWEEP_RETURN_IF_ERROR(MakeFolder(hold.path()));
    BITSWEEP_RETURN_IF_ERROR(Rename(temporary, hold.path() + kArtifactFilesFolder));
    BITSWEEP_RETURN_IF_ERROR(
        WriteFileDurably(hold.path() + "/manifest.json",
                         RecordOf(hold.path() + kArtifactFilesFolder, manifest.files).dump()));
  }
  hold.Share();
  return hold;
}

absl::StatusOr<std::vector<ArtifactFile>> Transfers::HashFiles(const std::string& folder,
                                                               std::stop_token stop) {
  std::vector<ArtifactFile> files;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (stop.stop_requested()) {
      return absl::CancelledError("stopped");
    }
    const std::string name = it->path().lexically_relative(folder).generic_string();
    if (it->is_directory() && !it->is_symlink()) {
      continue;
    }
    if (!it->is_regular_file() || it->is_symlink() || ToUtf8(name) != name) {
      return absl::FailedPreconditionError(
          absl::StrCat("the output folder holds ", ToUtf8(name), ", which is not a regular file"));
    }
    if (files.size() == kArtifactFilesMax) {
      return absl::FailedPreconditionError(
          absl::StrCat("the output folder holds more than ", kArtifactFilesMax, " files"));
    }
    BITSWEEP_ASSIGN_OR_RETURN(std::string digest, Sha256HexOfFile(it->path()));
    files.push_back({.name = name,
                     .size = static_cast<std::int64_t>(it->file_size()),
                     .digest = Digest(std::move(digest))});
  }
  if (error) {
    return ErrnoStatus(error.value(), folder);
  }
  if (files.empty()) {
    return absl::FailedPreconditionError("the output folder is empty");
  }
  std::sort(
      files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

absl::Status Transfers::Upload(const std::string& folder,
                               const std::vector<ArtifactFile>& files,
                               const BytesMoved& moved,
                               std::stop_token stop) {
  std::vector<Digest> digests;
  for (const ArtifactFile& file : files) {
    digests.push_back(file.digest);
  }
  std::vector<Digest> missing;
  BITSWEEP_RETURN_IF_ERROR(Retry(stop, [&] {
    absl::StatusOr<std::vector<Digest>> answer = client_.Missing(digests, stop);
    if (answer.ok()) {
      missing = *std::move(answer);
    }
    return answer.status();
  }));
  std::set<Digest> wanted(missing.begin(), missing.end());
  std::int64_t done = 0;
  std::int64_t total = 0;
  for (const ArtifactFile& file : files) {
    total += wanted.contains(file.digest) ? file.size : 0;
  }
  for (const ArtifactFile& file : files) {
    if (wanted.erase(file.digest) == 0) {
      continue;  // It is there, or another file of this artifact had the same bytes.
    }
    BITSWEEP_RETURN_IF_ERROR(Retry(stop, [&] {
      return client_.Upload(file.digest, folder + "/" + file.name, file.size, stop);
    }));
    done += file.size;
    moved(done, total);
  }
  return absl::OkStatus();
}

absl::Status Transfers::Keep(const StageKey& stage,
                             const std::string& folder,
                             const std::vector<ArtifactFile>& files) {
  const Cache::Hold hold = cache_.Take(CacheRoom::kArtifacts, stage.value());
  RemoveAll(hold.path());
  BITSWEEP_RETURN_IF_ERROR(MakeFolder(hold.path()));
  BITSWEEP_RETURN_IF_ERROR(Rename(folder, hold.path() + kArtifactFilesFolder));
  return WriteFileDurably(hold.path() + "/manifest.json",
                          RecordOf(hold.path() + kArtifactFilesFolder, files).dump());
}

}  // namespace bitsweep
