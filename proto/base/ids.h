// Strong ids: a sweep's id cannot be passed where a worker's is wanted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace bitsweep {

/// A value of type T that only compares with values of the same Tag.
template <typename T, typename Tag>
class NamedType {
 public:
  NamedType() = default;
  explicit NamedType(T value) : value_(std::move(value)) {}
  const T& value() const { return value_; }
  friend bool operator==(const NamedType&, const NamedType&) = default;
  friend auto operator<=>(const NamedType&, const NamedType&) = default;

 private:
  T value_{};
};

/// SHA-256 of the stage's canonical key object: 64 lower-case hexadecimal digits (architecture: "input-addressed").
using StageKey = NamedType<std::string, struct StageKeyTag>;
/// SHA-256 of a blob's bytes, 64 lower-case hexadecimal digits.
using Digest = NamedType<std::string, struct DigestTag>;
/// Sweeps are numbered from 1 by the store.
using SweepId = NamedType<std::int64_t, struct SweepIdTag>;
/// Workers are numbered from 1 by the coordinator, per registration of a worker name.
using WorkerId = NamedType<std::int64_t, struct WorkerIdTag>;
/// Fences an attempt: never used twice in the life of a database.
using LeaseId = NamedType<std::int64_t, struct LeaseIdTag>;

}  // namespace bitsweep

template <typename T, typename Tag>
struct std::hash<bitsweep::NamedType<T, Tag>> {
  std::size_t operator()(const bitsweep::NamedType<T, Tag>& id) const { return std::hash<T>()(id.value()); }
};
