#include "worker/runtime/models.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <spdlog/spdlog.h>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "worker/runtime/files.h"
#include "worker/runtime/limits.h"

#include "proto/base/names.h"

namespace bitsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string Canonical(const std::string& folder) {
  std::error_code error;
  const fs::path path = fs::canonical(folder, error);
  return error ? folder : path.string();
}

}  // namespace

Models::Models(std::vector<std::string> roots, std::string store)
    : roots_(std::move(roots)), store_(std::move(store)) {
  Load();
}

std::vector<std::string> Models::List() const {
  std::set<std::string> models;
  for (const std::string& root : roots_) {
    std::error_code error;
    const auto options = fs::directory_options::follow_directory_symlink |
                         fs::directory_options::skip_permission_denied;
    fs::recursive_directory_iterator it(root, options, error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      if (it.depth() >= kModelDepthMax) {
        it.disable_recursion_pending();
      }
      if (it->path().filename() == "config.json" && it.depth() > 0) {
        std::string model = it->path().parent_path().lexically_relative(root).generic_string();
        if (CheckRelativePath(model).ok() && ToUtf8(model) == model) {
          models.insert(std::move(model));
        }
      }
    }
    if (error) {
      spdlog::warn("model root {}: {}", root, error.message());
    }
  }
  return {models.begin(), models.end()};
}

absl::StatusOr<std::string> Models::Find(const std::string& model) const {
  if (absl::Status status = CheckRelativePath(model); !status.ok()) {
    return status;
  }
  for (const std::string& root : roots_) {
    const fs::path folder = fs::path(root) / model;
    std::error_code error;
    if (fs::is_directory(folder, error)) {
      return fs::absolute(folder, error).string();
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "model ", model, " is in none of the model roots ", absl::StrJoin(roots_, ", ")));
}

Models::Stamps Models::StampsOf(const std::string& folder) {
  Stamps stamps;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, error)) {
    if (absl::StatusOr<FileStamp> stamp = StampOf(entry.path()); stamp.ok()) {
      stamps[entry.path().lexically_relative(folder).generic_string()] = *stamp;
    }
  }
  return stamps;
}

void Models::Remember(const std::string& folder, const std::string& digest, const Stamps& before) {
  if (StampsOf(folder) != before) {
    spdlog::warn("model {} was changed while it was inspected", folder);
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  identities_[Canonical(folder)] = {.digest = digest, .stamps = before};
  Save();
}

std::string Models::KnownDigest(const std::string& folder) const {
  const Stamps now = StampsOf(folder);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = identities_.find(Canonical(folder));
  return found != identities_.end() && found->second.stamps == now ? found->second.digest : "";
}

void Models::Load() {
  const absl::StatusOr<std::string> text = ReadFile(store_);
  if (!text.ok()) {
    return;
  }
  try {
    const json all = json::parse(*text);  // Named: items() refers to it.
    for (const auto& [folder, identity] : all.items()) {
      Identity& out = identities_[folder];
      out.digest = identity.at("digest");
      for (const auto& [name, stamp] : identity.at("files").items()) {
        out.stamps[name] = StampFromJson(stamp);
      }
    }
  } catch (const json::exception& error) {
    spdlog::warn("{} cannot be read back, models will be hashed again: {}", store_, error.what());
    identities_.clear();
  }
}

void Models::Save() const {
  json all = json::object();
  for (const auto& [folder, identity] : identities_) {
    json files = json::object();
    for (const auto& [name, stamp] : identity.stamps) {
      files[name] = ToJson(stamp);
    }
    all[folder] = {{"digest", identity.digest}, {"files", std::move(files)}};
  }
  const std::string text = all.dump(-1, ' ', false, json::error_handler_t::replace);
  if (const absl::Status status = WriteFileDurably(store_, text); !status.ok()) {
    spdlog::warn("identities of models are not kept: {}", status.ToString());
  }
}

}  // namespace bitsweep
