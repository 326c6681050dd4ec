// A sweep file on this machine: read, parsed and checked with the study's own rules before anything
// is sent, together with the files that it names. A mistake found here leaves no trace on the
// coordinator. Plain values and free functions: any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "bitsweep/v1/sweeps.pb.h"
#include "coordinator/study/facts.h"
#include "coordinator/study/plan.h"
#include "coordinator/study/sweep_spec.h"

namespace bitsweep::cli {

struct SweepFile {
  std::string path;  // As given on the command line; in messages, too.
  std::string text;
  std::map<std::string, std::string> settings;
  SweepSpec spec;
};

/// `settings` are NAME=VALUE. INVALID_ARGUMENT: no such file, a setting without '=', every mistake
/// of the file.
absl::StatusOr<SweepFile> ReadSweepFile(const std::string& path,
                                        const std::vector<std::string>& settings);

/// Where a path of the sweep file lies: relative ones are relative to the sweep file's folder.
std::string ResolvePath(const SweepFile& file, const std::string& path_as_written);

/// Every mistake in the files that the sweep names. INVALID_ARGUMENT as study's CheckFiles.
absl::StatusOr<FileFactsByPath> CheckSweepFiles(const SweepFile& file);

/// What can be known for a plan: files that are not on this machine are left out and named in
/// `missing`, as "path (file:line)"; those that are here must be right.
struct PartialFacts {
  FileFactsByPath facts;
  std::vector<std::string> missing;
};
absl::StatusOr<PartialFacts> CheckSweepFilesThatExist(const SweepFile& file);

/// Shapes of the sweep's models that lie below `models_dir` (config.json each) or, where that is
/// empty, below the folder `models` beside the sweep file or beside it. Models that are not there
/// are left out. INVALID_ARGUMENT: no such folder, or a config.json that is not a Llama model's.
absl::StatusOr<ShapesByModel> ReadModelShapes(const SweepFile& file, const std::string& models_dir);

/// The wire form. REQUIRES: `facts` has every file that the coordinator must read.
v1::SweepSource ToSource(const SweepFile& file, const FileFactsByPath& facts);

}  // namespace bitsweep::cli
