#include "worker/engine/checkpoint/convert.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <unistd.h>
#include <utility>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/checkpoint/packed_codes.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::string_view kCodes = ".codes";
constexpr std::string_view kCodesPacked = ".codes_packed";

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// A folder that goes away with the object unless it was renamed.
class PartialFolder {
 public:
  explicit PartialFolder(const std::string& place)
      : path_(place + ".part." + std::to_string(::getpid())) {
    std::error_code error;
    fs::remove_all(path_, error);
    fs::create_directory(path_, error);
    if (error) {
      ThrowWriteError(path_ + ": cannot create", error.value());
    }
  }
  ~PartialFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Without a trailing slash, which would hide the folder's own name.
std::string Normal(const std::string& path) {
  const fs::path normal = fs::weakly_canonical(fs::absolute(path));
  return normal.has_filename() ? normal.string() : normal.parent_path().string();
}

void CheckPlaces(const std::string& in, const std::string& out, bool force) {
  const std::string from = Normal(in) + "/";
  const std::string to = Normal(out) + "/";
  if (from.rfind(to, 0) == 0 || to.rfind(from, 0) == 0) {
    ThrowBadInput(out + ": is " + in + ", or one lies in the other; choose another output folder");
  }
  const fs::path parent = fs::path(Normal(out)).parent_path();
  if (!fs::is_directory(parent)) {
    ThrowBadInput(out + ": the folder " + parent.string() + " is not there");
  }
  const fs::file_status status = fs::symlink_status(out);
  if (!fs::exists(status)) {
    return;
  }
  if (!force) {
    ThrowBadInput(out +
                  ": is there already; choose another output folder, or --force to replace it");
  }
  if (!fs::is_directory(status)) {
    ThrowBadInput(out + ": is not a folder; --force replaces only checkpoints");
  }
  if (!fs::is_empty(out) && !fs::exists(out + "/config.json")) {
    ThrowBadInput(out +
                  ": holds something else than a checkpoint (no config.json); --force "
                  "replaces only checkpoints and empty folders");
  }
}

/// Names of weight files say which form they hold, so that no reader of the interchange form takes
/// a packed file for its own.
std::string ConvertedFileName(const std::string& name, CodesForm form) {
  const std::string prefix = kPackedPrefix;
  if (form == CodesForm::kPacked) {
    return prefix + name;
  }
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

class Converter {
 public:
  Converter(const Checkpoint& source, std::string out, CodesForm form, Events& events)
      : source_(source), out_(std::move(out)), form_(form), events_(events) {}

  void Run() {
    const std::vector<std::string> names = source_.WeightFiles();
    for (const std::string& name : names) {
      ConvertFile(name);
      events_.Progress("convert", ++files_, static_cast<std::int64_t>(names.size()), "files");
    }
    WriteIndex();
    WriteConfig();
    CopyOthers();
  }

 private:
  void ConvertFile(const std::string& name) {
    std::shared_ptr<const SafetensorsFile> file;
    NamedTensors tensors;
    const std::string new_name = ConvertedFileName(name, form_);
    for (const auto& [tensor, where] : source_.tensors()) {
      if (fs::path(where->path()).filename() != name) {
        continue;
      }
      file = where;
      auto converted = ConvertTensor(tensor, *where);
      total_bytes_ += converted.second.nbytes();
      weight_map_[converted.first] = new_name;
      tensors.push_back(std::move(converted));
    }
    WriteSafetensors(out_ + "/" + new_name, tensors, file->metadata());
  }

  std::pair<std::string, at::Tensor> ConvertTensor(const std::string& name,
                                                   const SafetensorsFile& file) {
    const std::string_view old_end = form_ == CodesForm::kPacked ? kCodes : kCodesPacked;
    if (!EndsWith(name, old_end)) {
      return {name, file.Get(name)};
    }
    const std::string prefix = name.substr(0, name.size() - old_end.size());
    const int bits = source_.config().aqlm->codebook_bits;
    const at::Tensor codes = source_.GetQuantized(prefix).codes;
    if (form_ == CodesForm::kUnpacked) {
      return {prefix + std::string(kCodes), CodesToStored(codes, bits)};
    }
    // A writer that does not wrap says the same with other bytes; unpacking gives the usual ones.
    if (!warned_ && !at::equal(CodesToStored(codes, bits), file.Get(name))) {
      warned_ = true;
      events_.Log(
          "warning",
          file.path() + ": '" + name +
              "': codes from 2^(B-1) on are stored without their wrap; the values are kept, "
              "but unpacking will write the wrapped form");
    }
    return {prefix + std::string(kCodesPacked), PackCodes(codes, bits)};
  }

  void WriteIndex() {
    const bool single = form_ == CodesForm::kUnpacked && source_.WeightFiles().size() == 1 &&
                        weight_map_.begin()->second == "model.safetensors";
    if (single) {
      return;
    }
    const ordered_json index = {{"metadata", {{"total_size", total_bytes_}}},
                                {"weight_map", weight_map_}};
    const char* name = form_ == CodesForm::kPacked ? kPackedIndexFileName : kIndexFileName;
    WriteFileAtomically(out_ + "/" + name, index.dump(2) + "\n");
  }

  void WriteConfig() {
    ordered_json config = ordered_json::parse(ReadWholeFile(source_.dir() + "/config.json"));
    ordered_json& quantization = config["quantization_config"];
    if (form_ == CodesForm::kPacked) {
      quantization["packing"] = {
          {"format", kPackingFormat}, {"bit_order", "little"}, {"version", kPackingVersion}};
    } else {
      quantization.erase("packing");
    }
    WriteFileAtomically(out_ + "/config.json", config.dump(2) + "\n");
  }

  // Weights in any form, indexes and leavings of writers stay behind.
  static bool IsCopied(const std::string& name) {
    for (const char* end : {".safetensors", ".bin", ".index.json", ".pt", ".pth", ".gguf"}) {
      if (EndsWith(name, end)) {
        return false;
      }
    }
    return name != "config.json" && name.find(".part.") == std::string::npos;
  }

  void CopyOthers() {
    for (const fs::directory_entry& entry : fs::directory_iterator(source_.dir())) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file() && IsCopied(name)) {
        WriteFileAtomically(out_ + "/" + name, ReadWholeFile(entry.path().string()));
      }
    }
  }

  const Checkpoint& source_;
  const std::string out_;
  const CodesForm form_;
  Events& events_;
  std::map<std::string, std::string> weight_map_;
  std::uint64_t total_bytes_ = 0;
  std::int64_t files_ = 0;
  bool warned_ = false;
};

/// Reads back what was written: a conversion that lost something never gets its name.
void CheckEqual(const Checkpoint& before, const Checkpoint& after) {
  for (const auto& [name, file] : before.tensors()) {
    const std::string_view view = name;
    bool equal = true;
    if (EndsWith(view, kCodes) || EndsWith(view, kCodesPacked)) {
      const std::string prefix = name.substr(0, name.rfind('.'));
      equal = at::equal(before.GetQuantized(prefix).codes, after.GetQuantized(prefix).codes);
    } else {
      // Compared as bytes: a NaN is not equal to itself.
      const at::Tensor a = before.Get(name);
      const at::Tensor b = after.Get(name);
      equal = a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
              std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0;
    }
    if (!equal) {
      throw EngineError(FailureClass::kBug,
                        after.dir() + ": '" + name + "' differs from " + file->path() +
                            " after conversion; the disk or the converter is at fault");
    }
  }
}

void SyncFolder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

/// Gives `partial` its name. Where `out` is there, the two change places in one step if the file
/// system can do that; the old one then goes away with `partial`.
void MoveIntoPlace(const PartialFolder& partial, const std::string& out) {
  const std::string place = Normal(out);
  const char* from = partial.path().c_str();
  const bool replaces = fs::exists(place);
  const bool exchanged =
      replaces && ::renameat2(AT_FDCWD, from, AT_FDCWD, place.c_str(), RENAME_EXCHANGE) == 0;
  if (!exchanged) {
    const PartialFolder old(place + ".old");
    if (replaces && ::rename(place.c_str(), (old.path() + "/was").c_str()) != 0) {
      ThrowWriteError(place + ": cannot be moved away", errno);
    }
    if (::rename(from, place.c_str()) != 0) {
      const int error = errno;
      if (replaces) {
        ::rename((old.path() + "/was").c_str(), place.c_str());
      }
      ThrowWriteError(place + ": cannot rename into place", error);
    }
  }
  SyncFolder(fs::path(place).parent_path().string());
}

}  // namespace

Conversion ConvertCheckpoint(
    const std::string& in, const std::string& out, CodesForm form, bool force, Events& events) {
  const auto source = Checkpoint::Open(in);
  if (!source->config().aqlm) {
    ThrowBadInput(in +
                  ": is not quantized (config.json has no quantization_config): there are no "
                  "codes to convert");
  }
  if (source->config().aqlm->packed == (form == CodesForm::kPacked)) {
    ThrowBadInput(in + (form == CodesForm::kPacked
                            ? ": is packed already; --unpacked converts it back"
                            : ": is not packed; --packed packs it"));
  }
  CheckPlaces(in, out, force);
  const PartialFolder partial(Normal(out));
  Converter(*source, partial.path(), form, events).Run();
  const auto written = Checkpoint::Open(partial.path());
  CheckEqual(*source, *written);
  const Conversion conversion{MeasureCheckpoint(*source), MeasureCheckpoint(*written)};
  MoveIntoPlace(partial, out);
  return conversion;
}

}  // namespace bitsweep::engine
