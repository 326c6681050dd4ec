#include "proto/base/digest.h"

#include <cmath>
#include <fstream>
#include <vector>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/evp.h>

namespace bitsweep {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr);
}
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) {
  EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
}

std::string Sha256::Finish() {
  std::string digest(32, '\0');
  unsigned int size = 0;
  EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.data()), &size);
  return absl::BytesToHexString(digest);
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened for reading"));
  }
  Sha256 hash;
  std::vector<char> buffer(1 << 20);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.Update({buffer.data(), static_cast<std::size_t>(file.gcount())});
  }
  if (file.bad()) {
    return absl::InternalError(absl::StrCat(path, ": read error"));
  }
  return hash.Finish();
}

namespace {

// nlohmann::json already sorts object members and prints the shortest round-trip form; only integral floats need care.
nlohmann::json Normalised(const nlohmann::json& value) {
  // 2^53: beyond it a double no longer holds every integer, so such a value stays a float.
  constexpr double kExactIntegerMax = 9007199254740992.0;
  if (value.is_object()) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& [name, member] : value.items()) {
      out[name] = Normalised(member);
    }
    return out;
  }
  if (value.is_array()) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& member : value) {
      out.push_back(Normalised(member));
    }
    return out;
  }
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::trunc(number) == number && std::abs(number) < kExactIntegerMax) {
      return static_cast<std::int64_t>(number);
    }
  }
  return value;
}

}  // namespace

std::string CanonicalJson(const nlohmann::json& value) { return Normalised(value).dump(); }

std::uint64_t DeriveSeed(std::initializer_list<std::string_view> parts) {
  std::string joined;
  for (const std::string_view part : parts) {
    if (!joined.empty()) {
      joined += '\x1f';
    }
    joined += part;
  }
  return std::stoull(Sha256Hex(joined).substr(0, 16), nullptr, 16);
}

}  // namespace bitsweep
