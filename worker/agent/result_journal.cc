#include "worker/agent/result_journal.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sstream>
#include <unistd.h>

#include <absl/strings/str_cat.h>

#include "proto/base/names.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json FenceToJson(const Fence& fence) {
  return {
      {"stage", fence.stage.value()}, {"attempt", fence.attempt}, {"lease", fence.lease.value()}};
}

json FilesToJson(const ArtifactManifest& manifest) {
  json files = json::array();
  for (const ArtifactFile& file : manifest.files) {
    files.push_back({{"name", file.name}, {"size", file.size}, {"sha256", file.digest.value()}});
  }
  return files;
}

ArtifactManifest ManifestFromJson(const json& value) {
  ArtifactManifest manifest;
  for (const json& file : value.at("files")) {
    manifest.files.push_back({.name = file.at("name"),
                              .size = file.at("size"),
                              .digest = Digest(file.at("sha256").get<std::string>())});
  }
  manifest.summary = value.at("summary");
  return manifest;
}

/// Writes and syncs `text` as `path`, replacing it atomically.
absl::Status WriteDurably(const fs::path& path, const std::string& text) {
  const fs::path temporary = path.string() + ".tmp";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::InternalError(absl::StrCat(temporary.string(), ": ", std::strerror(errno)));
  }
  bool written = true;
  for (std::size_t at = 0; written && at < text.size();) {
    const ssize_t n = ::write(fd, text.data() + at, text.size() - at);
    written = n > 0;
    at += written ? static_cast<std::size_t>(n) : 0;
  }
  written = written && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::InternalError(
        absl::StrCat(path.string(), ": ", std::strerror(written ? errno : error)));
  }
  const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return absl::OkStatus();
}

}  // namespace

const Fence& FenceOf(const StageResult& result) {
  return std::visit([](const auto& value) -> const Fence& { return value.fence; }, result);
}

json ToJson(const StageResult& result) {
  if (const auto* succeeded = std::get_if<StageSucceeded>(&result)) {
    return {{"result", "succeeded"},
            {"fence", FenceToJson(succeeded->fence)},
            {"files", FilesToJson(succeeded->artifact)},
            {"summary", ToUtf8(succeeded->artifact.summary)},
            {"peak_host_bytes", succeeded->peak_host_bytes},
            {"peak_gpu_bytes", succeeded->peak_gpu_bytes},
            {"build", ToUtf8(succeeded->build)},
            {"log_tail", ToUtf8(succeeded->log_tail)}};
  }
  const StageFailed& failed = std::get<StageFailed>(result);
  return {{"result", "failed"},
          {"fence", FenceToJson(failed.fence)},
          {"class", std::string(ToString(failed.failure))},
          {"message", ToUtf8(failed.message)},
          {"log_tail", ToUtf8(failed.log_tail)}};
}

absl::StatusOr<StageResult> ResultFromJson(const json& value) {
  try {
    const json& fence = value.at("fence");
    const Fence parsed{.stage = StageKey(fence.at("stage").get<std::string>()),
                       .attempt = fence.at("attempt"),
                       .lease = LeaseId(fence.at("lease").get<std::int64_t>())};
    if (value.at("result") == "succeeded") {
      return StageSucceeded{.fence = parsed,
                            .artifact = ManifestFromJson(value),
                            .peak_host_bytes = value.at("peak_host_bytes"),
                            .peak_gpu_bytes = value.at("peak_gpu_bytes"),
                            .build = value.at("build"),
                            .log_tail = value.at("log_tail")};
    }
    const auto failure = ParseFailureClass(value.at("class").get<std::string>());
    if (!failure) {
      return absl::InvalidArgumentError("class: not a failure class");
    }
    return StageFailed{.fence = parsed,
                       .failure = *failure,
                       .message = value.at("message"),
                       .log_tail = value.at("log_tail")};
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

absl::StatusOr<std::unique_ptr<FileResultJournal>> FileResultJournal::Open(
    const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return absl::InternalError(absl::StrCat(folder, ": ", error.message()));
  }
  return std::unique_ptr<FileResultJournal>(new FileResultJournal(folder));
}

std::string FileResultJournal::PathOf(const Fence& fence) const {
  return absl::StrCat(
      folder_, "/", fence.stage.value(), "-", fence.attempt, "-", fence.lease.value(), ".json");
}

absl::Status FileResultJournal::Put(const StageResult& result) {
  return WriteDurably(PathOf(FenceOf(result)), ToJson(result).dump());
}

void FileResultJournal::Remove(const Fence& fence) {
  std::error_code ignored;
  fs::remove(PathOf(fence), ignored);
}

std::map<Fence, StageResult> FileResultJournal::Load() {
  std::map<Fence, StageResult> results;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    std::ifstream stream(entry.path());
    std::ostringstream text;
    text << stream.rdbuf();
    absl::StatusOr<StageResult> result =
        ResultFromJson(json::parse(text.str(), nullptr, /*allow_exceptions=*/false));
    if (!result.ok()) {
      spdlog::warn("result {} cannot be read back and is dropped: {}",
                   entry.path().string(),
                   std::string(result.status().message()));
      fs::remove(entry.path(), error);
      continue;
    }
    const Fence fence = FenceOf(*result);
    results.emplace(fence, *std::move(result));
  }
  return results;
}

}  // namespace bitsweep
