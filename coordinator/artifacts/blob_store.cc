#include "coordinator/artifacts/blob_store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <absl/strings/str_cat.h>

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

constexpr std::size_t kDigestDigits = 64;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

absl::Status ErrnoError(const std::string& what, int error) {
  const std::string message = absl::StrCat(what, ": ", std::generic_category().message(error));
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(message);
  }
  if (error == ENOENT) {
    return absl::NotFoundError(message);
  }
  if (error == EACCES || error == EPERM || error == EROFS) {
    return absl::PermissionDeniedError(message);
  }
  return absl::InternalError(message);
}

absl::Status CheckDigest(const Digest& digest) {
  const std::string& text = digest.value();
  const bool good =
      text.size() == kDigestDigits && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError(
                    absl::StrCat("digest \"", text, "\" is not 64 lower-case hexadecimal digits"));
}

/// A descriptor that closes itself.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Makes the renames in `dir` durable.
absl::Status SyncFolder(const std::string& dir) {
  const File folder(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) {
    return ErrnoError(absl::StrCat("sync of ", dir), errno);
  }
  return absl::OkStatus();
}

class DiskWriter : public BlobStore::Writer {
 public:
  DiskWriter(
      int descriptor, std::string temporary, std::string path, Digest digest, std::int64_t size)
      : file_(descriptor),
        temporary_(std::move(temporary)),
        path_(std::move(path)),
        digest_(std::move(digest)),
        size_(size) {}

  ~DiskWriter() override {
    if (!published_) {
      ::unlink(temporary_.c_str());
    }
  }

  absl::Status Write(std::string_view bytes) override {
    if (static_cast<std::int64_t>(bytes.size()) > size_ - written_) {
      return absl::InvalidArgumentError(
          absl::StrCat("blob ", digest_.value(), ": more than the ", size_, " bytes announced"));
    }
    sha256_.Update(bytes);
    written_ += static_cast<std::int64_t>(bytes.size());
    while (!bytes.empty()) {
      const ssize_t done = ::write(file_.get(), bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) {
        continue;
      }
      if (done < 0) {
        return ErrnoError(absl::StrCat("write of ", temporary_), errno);
      }
      bytes.remove_prefix(static_cast<std::size_t>(done));
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    if (finished_) {
      return absl::FailedPreconditionError(
          absl::StrCat("blob ", digest_.value(), " was finished before"));
    }
    finished_ = true;
    if (written_ != size_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "blob ", digest_.value(), ": ", written_, " bytes came, ", size_, " were announced"));
    }
    const std::string found = sha256_.Finish();
    if (found != digest_.value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("blob ", digest_.value(), ": the bytes that came have SHA-256 ", found));
    }
    if (::fsync(file_.get()) != 0) {
      return ErrnoError(absl::StrCat("sync of ", temporary_), errno);
    }
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
      return ErrnoError(absl::StrCat("rename to ", path_), errno);
    }
    published_ = true;
    return SyncFolder(std::filesystem::path(path_).parent_path().string());
  }

 private:
  File file_;
  std::string temporary_, path_;
  Digest digest_;
  std::int64_t size_;
  std::int64_t written_ = 0;
  Sha256 sha256_;
  bool finished_ = false;
  bool published_ = false;
};

class DiskReader : public BlobStore::Reader {
 public:
  DiskReader(int descriptor, std::string path, std::int64_t size, std::int64_t offset)
      : file_(descriptor), path_(std::move(path)), size_(size), place_(offset) {}

  std::int64_t size() const override { return size_; }

  absl::StatusOr<std::string> Read(std::size_t bytes) override {
    const auto left = static_cast<std::size_t>(size_ - place_);
    std::string piece(std::min(bytes, left), '\0');
    std::size_t filled = 0;
    while (filled < piece.size()) {
      const ssize_t done =
          ::pread(file_.get(), piece.data() + filled, piece.size() - filled, place_);
      if (done < 0 && errno == EINTR) {
        continue;
      }
      if (done <= 0) {
        return done < 0
                   ? ErrnoError(absl::StrCat("read of ", path_), errno)
                   : absl::InternalError(absl::StrCat(path_, " became shorter while it was read"));
      }
      filled += static_cast<std::size_t>(done);
      place_ += done;
    }
    return piece;
  }

 private:
  File file_;
  std::string path_;
  std::int64_t size_;
  std::int64_t place_;
};

class DiskBlobStore : public BlobStore {
 public:
  explicit DiskBlobStore(const std::string& dir)
      : blobs_(dir + "/blobs"), incoming_(dir + "/incoming") {}

  absl::Status Prepare() {
    std::error_code error;
    std::filesystem::create_directories(blobs_, error);
    if (!error) {
      std::filesystem::create_directories(incoming_, error);
    }
    if (error) {
      return ErrnoError(absl::StrCat("making ", blobs_), error.value());
    }
    // What unfinished uploads left: nobody can go on with them.
    for (const auto& entry : std::filesystem::directory_iterator(incoming_, error)) {
      std::filesystem::remove(entry.path(), error);
    }
    if (error) {
      return ErrnoError(absl::StrCat("cleaning ", incoming_), error.value());
    }
    return absl::OkStatus();
  }

  bool Has(const Digest& digest) const override {
    struct stat status {};
    return CheckDigest(digest).ok() && ::stat(Path(digest).c_str(), &status) == 0 &&
           S_ISREG(status.st_mode);
  }

  absl::StatusOr<std::unique_ptr<Writer>> Write(const Digest& digest, std::int64_t size) override {
    BITSWEEP_RETURN_IF_ERROR(CheckDigest(digest));
    if (size < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("blob ", digest.value(), ": a size of ", size, " bytes"));
    }
    const std::string path = Path(digest);
    BITSWEEP_RETURN_IF_ERROR(MakeFolder(std::filesystem::path(path).parent_path()));
    const std::string temporary =
        absl::StrCat(incoming_, "/", digest.value(), ".", next_.fetch_add(1));
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      return ErrnoError(absl::StrCat("opening ", temporary), errno);
    }
    return std::make_unique<DiskWriter>(descriptor, temporary, path, digest, size);
  }

  absl::StatusOr<std::unique_ptr<Reader>> Read(const Digest& digest,
                                               std::int64_t offset) const override {
    BITSWEEP_RETURN_IF_ERROR(CheckDigest(digest));
    const std::string path = Path(digest);
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      return errno == ENOENT
                 ? absl::NotFoundError(absl::StrCat("blob ", digest.value(), " is not held"))
                 : ErrnoError(absl::StrCat("opening ", path), errno);
    }
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) {
      const int error = errno;
      ::close(descriptor);
      return ErrnoError(absl::StrCat("looking at ", path), error);
    }
    auto reader = std::make_unique<DiskReader>(descriptor, path, status.st_size, offset);
    if (offset < 0 || offset > status.st_size) {
      return absl::OutOfRangeError(absl::StrCat(
          "blob ", digest.value(), " has ", status.st_size, " bytes: no offset ", offset));
    }
    return reader;
  }

  absl::StatusOr<std::string> ReadAll(const Digest& digest, std::int64_t bytes_max) override {
    BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<Reader> reader, Read(digest, 0));
    if (reader->size() > bytes_max) {
      return absl::ResourceExhaustedError(absl::StrCat("blob ",
                                                       digest.value(),
                                                       " has ",
                                                       reader->size(),
                                                       " bytes; at most ",
                                                       bytes_max,
                                                       " are read at once"));
    }
    BITSWEEP_ASSIGN_OR_RETURN(std::string bytes,
                              reader->Read(static_cast<std::size_t>(reader->size())));
    const std::string found = Sha256Hex(bytes);
    if (found != digest.value()) {
      const std::string path = Path(digest);
      const std::string aside = path + ".corrupt";
      // Out of the way, so that it can be uploaded again; kept, so that a person can look at it.
      ::rename(path.c_str(), aside.c_str());
      return absl::DataLossError(absl::StrCat(
          "blob ", digest.value(), ": its bytes now have SHA-256 ", found, "; moved to ", aside));
    }
    return bytes;
  }

  absl::StatusOr<Digest> Put(std::string_view bytes) override {
    Digest digest(Sha256Hex(bytes));
    if (Has(digest)) {
      return digest;
    }
    BITSWEEP_ASSIGN_OR_RETURN(std::unique_ptr<Writer> writer,
                              Write(digest, static_cast<std::int64_t>(bytes.size())));
    for (; !bytes.empty(); bytes.remove_prefix(std::min(kPieceBytes, bytes.size()))) {
      BITSWEEP_RETURN_IF_ERROR(writer->Write(bytes.substr(0, kPieceBytes)));
    }
    BITSWEEP_RETURN_IF_ERROR(writer->Finish());
    return digest;
  }

  std::string Path(const Digest& digest) const override {
    return absl::StrCat(blobs_, "/", digest.value().substr(0, 2), "/", digest.value());
  }

 private:
  /// Makes one of the 256 folders durable before anything is published in it.
  absl::Status MakeFolder(const std::filesystem::path& folder) {
    std::error_code error;
    const bool made = std::filesystem::create_directory(folder, error);
    if (error) {
      return ErrnoError(absl::StrCat("making ", folder.string()), error.value());
    }
    return made ? SyncFolder(blobs_) : absl::OkStatus();
  }

  const std::string blobs_, incoming_;
  std::atomic<std::int64_t> next_{1};
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(const std::string& dir) {
  auto store = std::make_unique<DiskBlobStore>(dir);
  BITSWEEP_RETURN_IF_ERROR(store->Prepare());
  return store;
}

}  // namespace bitsweep
