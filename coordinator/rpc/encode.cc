#include "coordinator/rpc/encode.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/util/json_util.h>

#include "proto/contract/limits.h"

namespace bitsweep {
namespace {

constexpr double kUnknownSeconds = -1;

double Seconds(const std::optional<absl::Duration>& duration) {
  return duration ? absl::ToDoubleSeconds(*duration) : kUnknownSeconds;
}

// Protobuf strings must be UTF-8, and a message of a child process may be anything.
std::string Utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : (lead >> 5) == 6 ? 2 : (lead >> 4) == 14 ? 3 : (lead >> 3) == 30 ? 4 : 0;
    bool valid = length != 0 && i + length <= text.size();
    for (std::size_t k = 1; valid && k < length; ++k) {
      valid = (static_cast<unsigned char>(text[i + k]) >> 6) == 2;
    }
    if (valid) {
      out.append(text.substr(i, length));
      i += length;
    } else {
      out += '?';
      ++i;
    }
  }
  return out;
}

bool IsHexDigest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  return status.ok() ? out : "{}";
}

}  // namespace

v1::SweepSummary Encode(const SweepSummary& summary) {
  v1::SweepSummary out;
  out.set_sweep(summary.id.value());
  out.set_name(summary.name);
  out.set_state(std::string(ToString(summary.state)));
  out.set_created_us(absl::ToUnixMicros(summary.created));
  if (summary.ended) {
    out.set_ended_us(absl::ToUnixMicros(*summary.ended));
  }
  out.set_cells(summary.cells);
  out.set_cells_done(summary.cells_done);
  return out;
}

v1::SweepStatus Encode(const SweepView& view) {
  v1::SweepStatus out;
  *out.mutable_summary() = Encode(view.summary);
  for (const StageCount& count : view.stages) {
    v1::StageCount* row = out.add_stages();
    row->set_kind(std::string(ToString(count.kind)));
    row->set_state(std::string(ToString(count.state)));
    row->set_count(count.count);
  }
  for (const RunningStage& stage : view.running) {
    v1::RunningStage* row = out.add_running();
    row->set_stage(stage.stage.value());
    row->set_kind(std::string(ToString(stage.kind)));
    row->set_label(stage.label);
    row->set_worker(stage.worker);
    row->set_attempt(stage.attempt);
    row->set_started_us(absl::ToUnixMicros(stage.started));
    row->set_phase(Utf8(stage.progress.phase));
    row->set_unit(Utf8(stage.progress.unit));
    row->set_done(stage.progress.done);
    row->set_total(stage.progress.total);
    row->set_eta_seconds(Seconds(stage.eta));
  }
  for (const FailureNote& failure : view.failures) {
    v1::StageFailure* row = out.add_failures();
    row->set_stage(failure.stage.value());
    row->set_kind(std::string(ToString(failure.kind)));
    row->set_label(failure.label);
    row->set_attempt(failure.attempt);
    row->set_failure_class(std::string(ToString(failure.failure)));
    row->set_message(Utf8(failure.message));
    row->set_worker(failure.worker);
    row->set_ended_us(absl::ToUnixMicros(failure.ended));
    row->set_final(failure.final);
  }
  out.set_cached(view.cached);
  out.set_workers(view.workers);
  out.set_eta_seconds(Seconds(view.eta));
  for (const std::string& note : view.notes) {
    out.add_notes(Utf8(note));
  }
  return out;
}

v1::WorkerStatus Encode(const WorkerView& view) {
  v1::WorkerStatus out;
  out.set_worker(view.id.value());
  out.set_name(view.offer.name);
  out.set_state(std::string(ToString(view.state)));
  for (const StageKind kind : view.offer.stages) {
    out.add_stages(std::string(ToString(kind)));
  }
  out.set_cores(view.offer.cores);
  out.set_slots(view.offer.slots);
  for (const GpuOffer& gpu : view.offer.gpus) {
    out.add_gpus(gpu.name);
  }
  out.set_isolation(view.offer.isolation);
  out.set_version(view.offer.version);
  out.set_build(view.offer.build);
  for (const StageKey& stage : view.running) {
    out.add_running(stage.value());
  }
  out.set_last_seen_us(absl::ToUnixMicros(view.last_seen));
  for (const auto& [name, value] : view.offer.labels) {
    (*out.mutable_labels())[name] = value;
  }
  return out;
}

v1::Cell Encode(const CellStatus& cell) {
  const CellDefinition& definition = cell.definition;
  v1::Cell out;
  out.set_model(definition.model);
  out.set_family(definition.family);
  out.set_params(definition.params);
  out.set_precision(definition.precision);
  out.set_calibration(definition.calibration);
  out.set_finetuned(definition.finetuned);
  out.set_benchmark(definition.benchmark);
  out.set_language(definition.language);
  out.set_seed(definition.seed);
  out.set_problems(definition.problems);
  out.set_samples(definition.samples);
  out.set_has_result(cell.pass_at_1.has_value());
  out.set_pass_at_1(cell.pass_at_1.value_or(0));
  out.set_size_bytes(cell.size_bytes.value_or(0));
  out.set_effective_bits(cell.effective_bits.value_or(0));
  out.set_state(cell.state);
  if (definition.quantize) {
    out.set_quantize_stage(definition.quantize->value());
  }
  out.set_inspect_stage(definition.inspect.value());
  if (definition.finetune) {
    out.set_finetune_stage(definition.finetune->value());
  }
  if (definition.generate) {
    out.set_generate_stage(definition.generate->value());
  }
  if (definition.grade) {
    out.set_grade_stage(definition.grade->value());
  }
  return out;
}

absl::StatusOr<SweepSource> Decode(const v1::SweepSource& message) {
  SweepSource source;
  source.file_name = message.file_name().empty() ? "sweep file" : message.file_name();
  source.text = message.text();
  if (static_cast<std::int64_t>(source.text.size()) > kSweepFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(source.file_name, ": ", source.text.size(), " bytes; a sweep file has at most ",
                                                   kSweepFileBytesMax));
  }
  for (const auto& [name, value] : message.settings()) {
    source.settings[name] = value;
  }
  for (const auto& [path, digest] : message.file_sha256()) {
    if (!IsHexDigest(digest)) {
      return absl::InvalidArgumentError(
          absl::StrCat("digest of ", path, " is \"", digest, "\"; 64 lower-case hexadecimal digits are wanted"));
    }
    source.files[path] = Digest(digest);
  }
  return source;
}

v1::SweepRecord Encode(const SweepRecord& record) {
  v1::SweepRecord out;
  const Submission& from = record.submission;
  out.set_sweep(record.id.value());
  out.set_name(from.name);
  out.set_user(from.user);
  out.set_state(std::string(ToString(record.state)));
  out.set_created_us(absl::ToUnixMicros(record.created));
  out.set_file_name(from.file_name);
  out.set_text(from.spec_text);
  for (const auto& [name, value] : from.settings) {
    (*out.mutable_settings())[name] = value;
  }
  for (const auto& [path, digest] : from.files) {
    (*out.mutable_file_sha256())[path] = digest.value();
  }
  out.set_device(from.device);
  out.set_dtype(from.dtype);
  out.set_imported(record.imported);
  return out;
}

v1::StageRecord Encode(const StageProvenance& stage) {
  v1::StageRecord out;
  out.set_stage(stage.stage.value());
  out.set_kind(stage.kind);
  out.set_label(stage.label);
  out.set_parameters_json(stage.parameters);
  out.set_summary_json(Utf8(stage.summary));
  out.set_semantics(stage.semantics);
  for (const ArtifactFile& file : stage.files) {
    v1::RecordFile* row = out.add_files();
    row->set_name(file.name);
    row->set_size(file.size);
    row->set_sha256(file.digest.value());
  }
  out.set_attempt(stage.attempt);
  out.set_worker(stage.worker);
  out.set_worker_version(stage.worker_version);
  out.set_gpus(stage.gpus);
  out.set_build(Utf8(stage.build));
  out.set_started_us(stage.started ? absl::ToUnixMicros(*stage.started) : 0);
  out.set_ended_us(stage.ended ? absl::ToUnixMicros(*stage.ended) : 0);
  out.set_peak_host_bytes(stage.peak_host_bytes);
  out.set_peak_gpu_bytes(stage.peak_gpu_bytes);
  return out;
}

std::string SweepStatusJson(const SweepView& view) { return ToJson(Encode(view)); }

std::string SweepSummariesJson(const std::vector<SweepSummary>& summaries) {
  v1::ListSweepsResponse response;
  for (const SweepSummary& summary : summaries) {
    *response.add_sweeps() = Encode(summary);
  }
  return ToJson(response);
}

}  // namespace bitsweep
