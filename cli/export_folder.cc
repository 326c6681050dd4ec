#include "cli/export_folder.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdlib.h>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "proto/base/digest.h"
#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSums = "SHA256SUMS";
// By these two an earlier export is known.
constexpr const char* kVersions = "versions.json";

absl::Status CheckReplaceable(const fs::path& path, bool replace) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) {
    return absl::OkStatus();
  }
  if (!replace) {
    return absl::AlreadyExistsError(absl::StrCat(
        path.string(), ": exists; choose another --out, or replace it with --force"));
  }
  const bool folder = fs::is_directory(fs::symlink_status(path, error));
  if (folder && (fs::is_empty(path, error) ||
                 (fs::exists(path / kSums, error) && fs::exists(path / kVersions, error)))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path.string(),
                   ": is not an export (it has no ",
                   kSums,
                   " and ",
                   kVersions,
                   "), so --force does not replace it; remove it yourself or choose another --out"));
}

}  // namespace

ExportFolder::ExportFolder(std::string path, std::string temporary, bool replace)
    : path_(std::move(path)), temporary_(std::move(temporary)), replace_(replace) {}

ExportFolder::~ExportFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) {
    fs::remove_all(temporary_, ignored);
  }
}

absl::StatusOr<std::unique_ptr<ExportFolder>> ExportFolder::Begin(const std::string& path,
                                                                  bool replace) {
  fs::path place = fs::path(path).lexically_normal();
  if (!place.has_filename()) {
    place = place.parent_path();  // "out/" is "out".
  }
  if (place.empty() || place.filename() == "." || place.filename() == "..") {
    return absl::InvalidArgumentError(absl::StrCat("--out '", path, "' names no folder"));
  }
  BITSWEEP_RETURN_IF_ERROR(CheckReplaceable(place, replace));
  const fs::path parent = place.has_parent_path() ? place.parent_path() : fs::path(".");
  std::error_code error;
  fs::create_directories(parent, error);
  std::string pattern = (parent / absl::StrCat(".", place.filename().string(), ".part-XXXXXX")).string();
  if (error || mkdtemp(pattern.data()) == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out ",
                     path,
                     ": no folder can be made in ",
                     parent.string(),
                     " (",
                     error ? error.message() : std::string(std::strerror(errno)),
                     ")"));
  }
  // mkdtemp's folders are private; an export is to be shared.
  fs::permissions(pattern,
                  fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                      fs::perms::others_read | fs::perms::others_exec,
                  error);
  return std::unique_ptr<ExportFolder>(new ExportFolder(place.string(), pattern, replace));
}

absl::Status ExportFolder::Put(const std::string& name, std::string_view text, bool append) {
  const fs::path file = fs::path(temporary_) / name;
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  std::ofstream stream(file, std::ios::binary | (append ? std::ios::app : std::ios::trunc));
  stream << text;
  stream.close();
  if (!stream) {
    return absl::InternalError(absl::StrCat(file.string(), ": cannot be written"));
  }
  names_.insert(name);
  return absl::OkStatus();
}

absl::Status ExportFolder::Write(const std::string& name, std::string_view text) {
  return Put(name, text, false);
}

absl::Status ExportFolder::Append(const std::string& name, std::string_view text) {
  return Put(name, text, true);
}

absl::Status ExportFolder::Commit() {
  std::string sums;
  for (const std::string& name : names_) {
    BITSWEEP_ASSIGN_OR_RETURN(const std::string digest,
                              Sha256HexOfFile((fs::path(temporary_) / name).string()));
    absl::StrAppend(&sums, digest, "  ", name, "\n");
  }
  const std::set<std::string> names = names_;
  BITSWEEP_RETURN_IF_ERROR(Put(kSums, sums, false));
  names_ = names;
  BITSWEEP_RETURN_IF_ERROR(CheckReplaceable(path_, replace_));
  std::error_code error;
  const std::string old = absl::StrCat(temporary_, "-old");
  const bool replaced = fs::exists(path_, error);
  if (replaced) {
    fs::rename(path_, old, error);
  }
  if (!error) {
    fs::rename(temporary_, path_, error);
  }
  if (error) {
    std::error_code ignored;
    if (replaced && !fs::exists(path_, ignored)) {
      fs::rename(old, path_, ignored);
    }
    return absl::InternalError(absl::StrCat(path_, ": cannot be put in place: ", error.message()));
  }
  temporary_.clear();
  if (replaced) {
    fs::remove_all(old, error);
  }
  return absl::OkStatus();
}

std::string PlainFileName(std::string_view text) {
  std::string name(text);
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') {
      c = '-';
    }
  }
  if (name.empty() || name.front() == '.') {
    name.insert(name.begin(), '-');
  }
  return name;
}

}  // namespace bitsweep::cli
