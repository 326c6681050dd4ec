#include "cli/upload.h"

#include <fstream>
#include <set>

#include <absl/strings/str_cat.h>

#include "cli/render/live.h"
#include "cli/render/text.h"

#include "proto/base/status_macros.h"
#include "proto/contract/limits.h"

namespace bitsweep::cli {
namespace {

// A slow line still moves this much a second; a coordinator that takes less has stopped.
constexpr std::int64_t kUploadBytesPerSecondMin = 256 << 10;
constexpr absl::Duration kRedrawInterval = absl::Milliseconds(100);

class UploadBar {
 public:
  UploadBar(Context& context, std::int64_t total)
      : context_(context), total_(total), block_(context.environment().err) {}

  void Advance(const std::string& name, std::int64_t bytes) {
    sent_ += bytes;
    const Terminal& terminal = context_.environment().err_terminal;
    const absl::Time now = context_.Now();
    if (!terminal.live || now - drawn_ < kRedrawInterval) {
      return;
    }
    drawn_ = now;
    const double fraction =
        total_ > 0 ? static_cast<double>(sent_) / static_cast<double>(total_) : 1.0;
    Line line = Bar(fraction, 20, terminal);
    block_.Draw({line.Add(absl::StrCat(
                    "  ", FormatBytes(sent_), " of ", FormatBytes(total_), "  uploading ", name))},
                terminal);
  }
  /// Removes the bar: what was done is said in words.
  void Clear() {
    if (drawn_ != absl::InfinitePast()) {
      block_.Draw({}, context_.environment().err_terminal);
    }
    block_.Finish();
  }

 private:
  Context& context_;
  std::int64_t total_;
  std::int64_t sent_ = 0;
  absl::Time drawn_ = absl::InfinitePast();
  LiveBlock block_;
};

absl::Status UploadFile(Client& client,
                        const std::string& local_path,
                        const FileFacts& facts,
                        const std::function<void(std::int64_t)>& advanced) {
  std::ifstream stream(local_path, std::ios::binary);
  if (!stream) {
    return absl::InvalidArgumentError(absl::StrCat(local_path, ": cannot be read any more"));
  }
  grpc::ClientContext context;
  Client::SetDeadline(context,
                      kLongCallTimeout + absl::Seconds(facts.size / kUploadBytesPerSecondMin));
  v1::UploadResponse response;
  const auto writer = client.artifacts().Upload(&context, &response);
  v1::UploadPiece piece;
  piece.set_sha256(facts.digest);
  piece.set_size(facts.size);
  std::int64_t sent = 0;
  bool open = true;
  do {
    std::string& data = *piece.mutable_data();
    data.resize(static_cast<std::size_t>(std::min(kChunkBytes, facts.size - sent)));
    stream.read(data.data(), static_cast<std::streamsize>(data.size()));
    data.resize(static_cast<std::size_t>(stream.gcount()));
    const auto bytes = static_cast<std::int64_t>(data.size());
    if (bytes == 0 && sent < facts.size) {
      context.TryCancel();
      (void)writer->Finish();
      return absl::InvalidArgumentError(
          absl::StrCat(local_path, ": became shorter while it was uploaded"));
    }
    open = writer->Write(piece);
    sent += bytes;
    advanced(bytes);
    piece.Clear();  // Digest and size travel with the first piece only.
  } while (open && sent < facts.size);
  if (open) {
    writer->WritesDone();
  }
  const grpc::Status status = writer->Finish();
  if (status.ok()) {
    return absl::OkStatus();
  }
  const absl::Status explained = client.Explain(status);
  return IsConnectionLoss(explained)
             ? explained
             : absl::Status(explained.code(), absl::StrCat(local_path, ": ", explained.message()));
}

}  // namespace

absl::StatusOr<UploadTotals> UploadMissing(Context& context,
                                           Client& client,
                                           const SweepFile& file,
                                           const FileFactsByPath& facts) {
  v1::MissingRequest request;
  std::set<std::string> asked;
  for (const auto& [path, fact] : facts) {
    if (asked.insert(fact.digest).second) {
      request.add_sha256(fact.digest);
    }
  }
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::MissingResponse missing,
      client.Call(client.artifacts(), &v1::Artifacts::Stub::Missing, request));
  std::set<std::string> wanted(missing.sha256().begin(), missing.sha256().end());
  std::map<std::string, std::string> path_by_digest;
  std::int64_t total = 0;
  for (const auto& [path, fact] : facts) {
    if (wanted.contains(fact.digest) && path_by_digest.emplace(fact.digest, path).second) {
      total += fact.size;
    }
  }
  UploadTotals totals;
  UploadBar bar(context, total);
  for (const auto& [digest, path] : path_by_digest) {
    const FileFacts& fact = facts.at(path);
    const std::string& name = path;
    const absl::Status uploaded =
        UploadFile(client, ResolvePath(file, path), fact, [&](std::int64_t bytes) {
          bar.Advance(name, bytes);
        });
    if (!uploaded.ok()) {
      bar.Clear();
      return uploaded;
    }
    ++totals.files;
    totals.bytes += fact.size;
  }
  bar.Clear();
  return totals;
}

}  // namespace bitsweep::cli
