// Blobs by SHA-256 on the local disk: benchmarks, calibration files, artifacts. A blob is there
// whole and verified, or not at all: it is written to a temporary file, hashed on the way, synced,
// renamed, and its folder synced. Layout: DIR/blobs/ab/<64 digits>, DIR/incoming/<digest>.<n>. Any
// thread may call anything; a Writer or Reader is one thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "proto/base/digest.h"
#include "proto/base/ids.h"

namespace bitsweep {

class BlobStore {
 public:
  /// Receives one blob. Destroyed before Finish, it leaves nothing behind.
  class Writer {
   public:
    virtual ~Writer() = default;
    /// INVALID_ARGUMENT: more bytes than announced. RESOURCE_EXHAUSTED: the disk is full. INTERNAL:
    /// any other I/O error.
    virtual absl::Status Write(std::string_view bytes) = 0;
    /// Publishes the blob: durable and visible on return. INVALID_ARGUMENT: fewer bytes than
    /// announced, or another digest (both are named). Errors as Write.
    virtual absl::Status Finish() = 0;
  };
  class Reader {
   public:
    virtual ~Reader() = default;
    virtual std::int64_t size() const = 0;
    /// Up to `bytes` from the current place; empty at the end. INTERNAL on an I/O error.
    virtual absl::StatusOr<std::string> Read(std::size_t bytes) = 0;
  };

  /// Makes the folders and removes what unfinished uploads left. One process at a time (the store's
  /// lock sees to it).
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(const std::string& dir);
  virtual ~BlobStore() = default;

  virtual bool Has(const Digest& digest) const = 0;
  /// INVALID_ARGUMENT: not 64 lower-case hexadecimal digits, or a negative size.
  /// RESOURCE_EXHAUSTED, INTERNAL.
  virtual absl::StatusOr<std::unique_ptr<Writer>> Write(const Digest& digest,
                                                        std::int64_t size) = 0;
  /// NOT_FOUND. OUT_OF_RANGE: `offset` is beyond the end (the end itself is fine).
  virtual absl::StatusOr<std::unique_ptr<Reader>> Read(const Digest& digest,
                                                       std::int64_t offset = 0) const = 0;
  /// Reads it whole and verifies it. NOT_FOUND. DATA_LOSS: the bytes no longer have the digest
  /// (both are named); the blob is then moved aside, so that it can be uploaded again.
  /// RESOURCE_EXHAUSTED: larger than `bytes_max`.
  virtual absl::StatusOr<std::string> ReadAll(const Digest& digest, std::int64_t bytes_max) = 0;
  /// Stores `bytes` under their own digest.
  virtual absl::StatusOr<Digest> Put(std::string_view bytes) = 0;
  /// Where the blob lies, or would.
  virtual std::string Path(const Digest& digest) const = 0;
};

}  // namespace bitsweep
