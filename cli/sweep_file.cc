#include "cli/sweep_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <absl/strings/str_cat.h>

#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep::cli {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::string> ReadText(const std::string& path, std::int64_t bytes_max) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a folder"));
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read (", std::strerror(errno), ")"));
  }
  std::ostringstream text;
  text << stream.rdbuf();
  std::string content = std::move(text).str();
  if (static_cast<std::int64_t>(content.size()) > bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat(path,
                                                   ": has ",
                                                   content.size(),
                                                   " bytes, more than a sweep file may have (",
                                                   bytes_max,
                                                   ")"));
  }
  return content;
}

}  // namespace

absl::StatusOr<SweepFile> ReadSweepFile(const std::string& path,
                                        const std::vector<std::string>& settings) {
  SweepFile file;
  file.path = path;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("--set '", setting, "' is not NAME=VALUE"));
    }
    file.settings[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  BITSWEEP_ASSIGN_OR_RETURN(file.text, ReadText(path, kSweepFileBytesMax));
  BITSWEEP_ASSIGN_OR_RETURN(file.spec, ParseSweep(file.text, path, file.settings));
  return file;
}

std::string ResolvePath(const SweepFile& file, const std::string& path_as_written) {
  const fs::path path(path_as_written);
  return path.is_absolute()
             ? path.string()
             : (fs::path(file.path).parent_path() / path).lexically_normal().string();
}

absl::StatusOr<FileFactsByPath> CheckSweepFiles(const SweepFile& file) {
  return CheckFiles(file.spec, [&](const std::string& path) { return ResolvePath(file, path); });
}

absl::StatusOr<PartialFacts> CheckSweepFilesThatExist(const SweepFile& file) {
  PartialFacts result;
  std::set<std::string> absent;
  for (const ReferencedFile& reference : ReferencedFiles(file.spec)) {
    std::error_code error;
    if (!fs::exists(ResolvePath(file, reference.path), error) &&
        absent.insert(reference.path).second) {
      result.missing.push_back(absl::StrCat(reference.path, " (", reference.place, ")"));
    }
  }
  SweepSpec present = file.spec;
  for (BenchmarkSpec& benchmark : present.benchmarks) {
    std::erase_if(benchmark.files,
                  [&](const BenchmarkFileSpec& entry) { return absent.contains(entry.path); });
  }
  for (CalibrationSpec& calibration : present.calibrations) {
    std::erase_if(calibration.parts,
                  [&](const CalibrationPart& part) { return absent.contains(part.path); });
  }
  BITSWEEP_ASSIGN_OR_RETURN(result.facts, CheckFiles(present, [&](const std::string& path) {
                              return ResolvePath(file, path);
                            }));
  return result;
}

absl::StatusOr<ShapesByModel> ReadModelShapes(const SweepFile& file,
                                              const std::string& models_dir) {
  ShapesByModel shapes;
  std::error_code error;
  if (!models_dir.empty() && !fs::is_directory(models_dir, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--models-dir ", models_dir, ": no such folder"));
  }
  // Where no folder is named, the usual places beside the sweep file are tried.
  const std::vector<fs::path> folders =
      models_dir.empty() ? std::vector<fs::path>{ResolvePath(file, "models"), ResolvePath(file, "")}
                         : std::vector<fs::path>{models_dir};
  for (const ModelSpec& model : file.spec.models) {
    for (const fs::path& folder : folders) {
      const std::string config = (folder / model.path / "config.json").string();
      if (!fs::exists(config, error)) {
        continue;
      }
      BITSWEEP_ASSIGN_OR_RETURN(const std::string text, ReadText(config, kSweepFileBytesMax));
      BITSWEEP_ASSIGN_OR_RETURN(shapes[model.id], ParseModelShape(text, config));
      break;
    }
  }
  return shapes;
}

v1::SweepSource ToSource(const SweepFile& file, const FileFactsByPath& facts) {
  v1::SweepSource source;
  source.set_file_name(file.path);
  source.set_text(file.text);
  source.mutable_settings()->insert(file.settings.begin(), file.settings.end());
  for (const auto& [path, fact] : facts) {
    (*source.mutable_file_sha256())[path] = fact.digest;
  }
  return source;
}

}  // namespace bitsweep::cli
