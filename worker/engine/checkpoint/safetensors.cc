#include "worker/engine/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

// The limit of the format's own library: a longer header is a broken length.
constexpr std::uint64_t kHeaderBytesMax = 100'000'000;
constexpr std::uint64_t kLengthBytes = 8;

struct Dtype {
  std::string_view name;
  std::uint64_t bytes;
  std::optional<at::ScalarType>
      scalar;  // None: torch has no such type; the file is readable, the tensor is not.
};
constexpr std::array kDtypes = {
    Dtype{"F64", 8, at::kDouble},
    Dtype{"F32", 4, at::kFloat},
    Dtype{"F16", 2, at::kHalf},
    Dtype{"BF16", 2, at::kBFloat16},
    Dtype{"I64", 8, at::kLong},
    Dtype{"I32", 4, at::kInt},
    Dtype{"I16", 2, at::kShort},
    Dtype{"I8", 1, at::kChar},
    Dtype{"U8", 1, at::kByte},
    Dtype{"BOOL", 1, at::kBool},
    Dtype{"U16", 2, {}},
    Dtype{"U32", 4, {}},
    Dtype{"U64", 8, {}},
    Dtype{"F8_E4M3", 1, {}},
    Dtype{"F8_E5M2", 1, {}},
};

const Dtype* FindDtype(std::string_view name) {
  const auto* it = std::find_if(
      kDtypes.begin(), kDtypes.end(), [&](const Dtype& row) { return row.name == name; });
  return it == kDtypes.end() ? nullptr : it;
}

const Dtype& DtypeOfTensor(const std::string& name, const at::Tensor& tensor) {
  for (const Dtype& row : kDtypes) {
    if (row.scalar == tensor.scalar_type()) {
      return row;
    }
  }
  throw EngineError(FailureClass::kBug,
                    name + ": safetensors has no dtype for " + at::toString(tensor.scalar_type()));
}

nlohmann::json ParseHeader(const std::string& path, std::string_view text) {
  // JSON lets a key repeat and keeps the last; two entries of one name would hide bytes, so they
  // are refused.
  std::set<std::string> names;
  std::string duplicate;
  const auto on_event = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    if (event == nlohmann::json::parse_event_t::key && depth == 1 &&
        !names.insert(value.get<std::string>()).second) {
      duplicate = value.get<std::string>();
    }
    return true;
  };
  nlohmann::json header;
  try {
    header = nlohmann::json::parse(text.begin(), text.end(), on_event);
  } catch (const nlohmann::json::exception& error) {
    ThrowBadInput(path + ": bad header: " + error.what());
  }
  if (!header.is_object()) {
    ThrowBadInput(path + ": bad header: want a JSON object, found " + header.type_name());
  }
  if (!duplicate.empty()) {
    ThrowBadInput(path + ": bad header: tensor '" + duplicate + "' is listed twice");
  }
  return header;
}

bool IsSize(const nlohmann::json& value) {
  return value.is_number_unsigned() &&
         value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max();
}

SafetensorsFile::Entry ParseEntry(const std::string& where, const nlohmann::json& value) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets")) {
    ThrowBadInput(where + "bad header entry: want exactly dtype, shape and data_offsets");
  }
  const nlohmann::json& offsets = value["data_offsets"];
  const nlohmann::json& shape = value["shape"];
  if (!value["dtype"].is_string() || !shape.is_array() || !offsets.is_array() ||
      offsets.size() != 2 || !IsSize(offsets[0]) || !IsSize(offsets[1]) ||
      !std::all_of(shape.begin(), shape.end(), IsSize)) {
    ThrowBadInput(
        where +
        "bad header entry: dtype is a string, shape an array of sizes, data_offsets two sizes");
  }
  SafetensorsFile::Entry entry;
  entry.dtype = value["dtype"].get<std::string>();
  entry.shape = shape.get<std::vector<std::int64_t>>();
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();
  return entry;
}

void CheckEntrySize(const std::string& where, const SafetensorsFile::Entry& entry) {
  const Dtype* dtype = FindDtype(entry.dtype);
  if (dtype == nullptr) {
    ThrowBadInput(where + "unknown dtype '" + entry.dtype + "'");
  }
  std::uint64_t bytes = dtype->bytes;
  for (const std::int64_t size : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) {
      ThrowBadInput(where + "shape overflows 64 bits");
    }
  }
  if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
    ThrowBadInput(where + "data_offsets [" + std::to_string(entry.begin) + ", " +
                  std::to_string(entry.end) + "] do not fit shape and dtype, which need " +
                  std::to_string(bytes) + " bytes");
  }
}

// The format allows neither overlaps nor holes, and the data ends with the file.
void CheckLayout(const std::string& path,
                 const std::map<std::string, SafetensorsFile::Entry>& entries,
                 std::uint64_t data_begin,
                 std::uint64_t data_bytes) {
  std::vector<std::pair<const std::string*, const SafetensorsFile::Entry*>> order;
  for (const auto& [name, entry] : entries) {
    order.emplace_back(&name, &entry);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  std::uint64_t end = 0;
  const std::string* previous = nullptr;
  for (const auto& [name, entry] : order) {
    if (entry->begin != end) {
      ThrowBadInput(path + ": tensor '" + *name + "' begins at byte " +
                    std::to_string(entry->begin) +
                    (entry->begin < end ? ", overlapping " : ", leaving a hole after ") +
                    (previous ? "'" + *previous + "'" : std::string("the header")) +
                    ", which ends at " + std::to_string(end));
    }
    end = entry->end;
    previous = name;
  }
  if (end > data_bytes) {
    ThrowBadInput(path + ": truncated: the header promises " + std::to_string(data_begin + end) +
                  " bytes, the file has " + std::to_string(data_begin + data_bytes) + " (tensor '" +
                  *previous + "' is cut off); download or write it again");
  }
  if (end < data_bytes) {
    ThrowBadInput(path + ": " + std::to_string(data_bytes - end) +
                  " bytes follow the last tensor: the file is damaged");
  }
}

// Maps the file read-only. -> its first byte and its length, at least kLengthBytes.
std::pair<const std::byte*, std::size_t> MapWhole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ThrowBadInput(path + ": cannot open: " + std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    ThrowBadInput(path + ": not a regular file");
  }
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes < kLengthBytes) {
    ::close(fd);
    ThrowBadInput(path + ": truncated: a safetensors file has at least 8 bytes, this one has " +
                  std::to_string(bytes));
  }
  void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  const int map_error = errno;
  ::close(fd);
  if (map == MAP_FAILED) {
    throw EngineError(map_error == ENOMEM ? FailureClass::kOomHost : FailureClass::kBug,
                      path + ": cannot map: " + std::strerror(map_error));
  }
  return {static_cast<const std::byte*>(map), bytes};
}

std::uint64_t HeaderBytes(const std::string& path, const std::byte* map, std::uint64_t file_bytes) {
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    header_bytes |= std::to_integer<std::uint64_t>(map[i]) << (8 * i);
  }
  if (header_bytes > kHeaderBytesMax) {
    ThrowBadInput(path + ": bad header: its length " + std::to_string(header_bytes) +
                  " is above the format's limit of " + std::to_string(kHeaderBytesMax) +
                  " bytes; not a safetensors file?");
  }
  if (kLengthBytes + header_bytes > file_bytes) {
    ThrowBadInput(path + ": truncated: the header ends at byte " +
                  std::to_string(kLengthBytes + header_bytes) + ", the file has " +
                  std::to_string(file_bytes) + " bytes");
  }
  return header_bytes;
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->path_ = path;
  std::tie(file->map_, file->map_bytes_) = MapWhole(path);
  const std::uint64_t data_begin = kLengthBytes + HeaderBytes(path, file->map_, file->map_bytes_);
  file->data_ = file->map_ + data_begin;
  const std::string_view text(reinterpret_cast<const char*>(file->map_ + kLengthBytes),
                              data_begin - kLengthBytes);
  const nlohmann::json header = ParseHeader(path, text);
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, item] : value.items()) {
        if (!item.is_string()) {
          ThrowBadInput(path + ": bad header: __metadata__ '" + key + "' is not a string");
        }
        file->metadata_[key] = item.get<std::string>();
      }
      continue;
    }
    const std::string where = path + ": tensor '" + name + "': ";
    Entry entry = ParseEntry(where, value);
    CheckEntrySize(where, entry);
    file->entries_.emplace(name, std::move(entry));
  }
  CheckLayout(path, file->entries_, data_begin, file->map_bytes_ - data_begin);
  return file;
}

SafetensorsFile::~SafetensorsFile() {
  if (map_ != nullptr) {
    ::munmap(const_cast<std::byte*>(map_), map_bytes_);
  }
}

at::Tensor SafetensorsFile::Get(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) {
    ThrowBadInput(path_ + ": no tensor '" + name + "'");
  }
  const Entry& entry = it->second;
  const Dtype* dtype = FindDtype(entry.dtype);
  if (!dtype->scalar) {
    ThrowBadInput(path_ + ": tensor '" + name + "': dtype " + entry.dtype + " is not supported");
  }
  const at::TensorOptions options = at::TensorOptions().dtype(*dtype->scalar);
  const std::byte* begin = data_ + entry.begin;
  if (reinterpret_cast<std::uintptr_t>(begin) % dtype->bytes != 0) {
    // Old writers do not pad their header; such a tensor is copied into aligned memory.
    at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.data_ptr(), begin, entry.end - entry.begin);
    return copy;
  }
  auto keep_alive = [self = shared_from_this()](void*) {};
  return at::from_blob(const_cast<std::byte*>(begin), entry.shape, keep_alive, options);
}

void WriteSafetensors(const std::string& path,
                      const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata) {
  // Wide types first keeps every tensor aligned to its own size behind a header padded to 8 bytes.
  std::vector<std::pair<const Dtype*, std::pair<std::string, at::Tensor>>> rows;
  for (const auto& [name, tensor] : tensors) {
    rows.emplace_back(&DtypeOfTensor(name, tensor),
                      std::pair(name, tensor.detach().cpu().contiguous()));
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.first->bytes != b.first->bytes ? a.first->bytes > b.first->bytes
                                            : a.second.first < b.second.first;
  });
  nlohmann::ordered_json header;
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  std::uint64_t offset = 0;
  for (const auto& [dtype, row] : rows) {
    const std::uint64_t bytes = row.second.nbytes();
    if (header.contains(row.first)) {
      throw EngineError(FailureClass::kBug, path + ": tensor '" + row.first + "' is given twice");
    }
    header[row.first] = {{"dtype", std::string(dtype->name)},
                         {"shape", row.second.sizes().vec()},
                         {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.is_null() ? "{}" : header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');

  AtomicFile file(path);
  std::array<unsigned char, kLengthBytes> length{};
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<unsigned char>(text.size() >> (8 * i));
  }
  file.Write(length.data(), length.size());
  file.Write(text);
  for (const auto& [dtype, row] : rows) {
    file.Write(row.second.data_ptr(), row.second.nbytes());
  }
  file.Commit();
}

}  // namespace bitsweep::engine
