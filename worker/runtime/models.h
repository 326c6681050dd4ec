// Model folders on this machine: where they are, and that they are still what an inspect stage saw.
// Hashing 13 GB takes a minute, so an identity is kept with the stamps of its files and is believed
// while those have not changed. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "worker/runtime/file_stamp.h"

namespace bitsweep {

class Models {
 public:
  /// Identities are kept in the file `store`.
  Models(std::vector<std::string> roots, std::string store);

  /// Folders below the roots that hold a config.json, relative, sorted. Those that are twice there
  /// are taken from the first root.
  std::vector<std::string> List() const;
  /// The absolute folder of a model path. NOT_FOUND names the roots.
  absl::StatusOr<std::string> Find(const std::string& model) const;

  /// Everything in `folder` now; taken before an inspect begins to read.
  using Stamps = std::map<std::string, FileStamp>;
  static Stamps StampsOf(const std::string& folder);
  /// Remembers that `folder` has this digest, unless something changed since `before` was taken.
  void Remember(const std::string& folder, const std::string& digest, const Stamps& before);
  /// The digest of `folder`, or "" when it is not known or something changed since.
  std::string KnownDigest(const std::string& folder) const;

 private:
  struct Identity {
    std::string digest;
    Stamps stamps;
  };
  void Load();
  void Save() const;

  const std::vector<std::string> roots_;
  const std::string store_;
  mutable std::mutex mutex_;
  std::map<std::string, Identity> identities_;  // By canonical folder.
};

}  // namespace bitsweep
