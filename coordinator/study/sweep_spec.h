// The sweep file as values: what a user wants measured. ParseSweep reads YAML or JSON, checks
// everything that can be checked without the files it names, and reports every mistake with file
// and line, so that nothing is half-submitted. Plain values and free functions: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace bitsweep {

// The label of the unquantized variant and the name of "no calibration" and "no fine-tuning".
inline constexpr std::string_view kFp16 = "fp16";
inline constexpr std::string_view kNone = "none";

struct ModelSpec {
  std::string id, family, params;  // `params` is a label ("7B"); `family` defaults to the id.
  std::string path;                // Below a worker's --model-root.
  int line = 0;
};

/// One quantization configuration under its label ("2-bit").
struct PrecisionSpec {
  std::string label;
  std::string method = "aqlm";
  int codebooks = 1;
  int codebook_bits = 8;
  int group_size = 8;  // Input features of one group; 4, 8, 16 or 32.
  // Handed to the method as written, names and ranges checked; part of the key.
  nlohmann::json options = nlohmann::json::object();
  std::optional<std::uint64_t> seed;  // Instead of the one derived from the sweep's seed.
  int line = 0;
};

/// One text file of a calibration mixture.
struct CalibrationPart {
  std::string path;  // As written in the sweep file.
  std::int64_t sequences = 0;
  std::string window = "pack";  // "random", "first" or "pack"
  std::int64_t min_tokens = 0;  // Documents below it are passed over; 0: the window's own rule.
  int line = 0;
};

struct CalibrationSpec {
  std::string name;
  std::vector<CalibrationPart> parts;  // At least one.
  std::int64_t validation = 0;         // Of all sequences, how many only validate.
  std::int64_t sequence_length = 0;    // Tokens.
  std::optional<std::uint64_t> seed;   // Draws the windows; absent: the quantize stage's seed does.
  int line = 0;

  /// Of all parts, those that only validate included.
  std::int64_t sequences() const;
};

// The objective of fine-tunings whose outcomes were imported: how they were made is not known.
inline constexpr std::string_view kImportedObjective = "imported";

/// Defaults are the study's.
struct FinetuneSpec {
  std::string name;
  std::string objective = "teacher-kl";
  double learning_rate = 1e-5;
  int epochs = 5;
  int early_stop = 3;              // Epochs without a better validation loss; 0: never.
  int batch = 1;                   // Sequences a step.
  std::vector<std::string> train;  // What moves, in the order of methods.h; empty: everything.
  std::string products = "f32";    // Of the blocks' linears.
  std::string gradient_checkpointing = "auto";  // Changes no result, so it is in no key.
  // `learning_rate_end`, and `code_...` of pv-teacher-kl, as written; the engine has the defaults.
  nlohmann::json engine_options = nlohmann::json::object();
  int line = 0;
};

struct SamplingSpec {
  int samples = 20;
  double temperature = 0.2;
  double top_p = 0.95;
  int max_tokens_total = 1024;        // Prompt and completion together.
  std::optional<std::uint64_t> seed;  // Instead of the one derived from the sweep's seed.
};

/// What the programs of one language may use.
struct ProgramLimitsSpec {
  int timeout_seconds = 15;  // CPU time of each process.
  // Members of a grade spec's `/grading/limits` as written; the grader has the defaults.
  nlohmann::json limits = nlohmann::json::object();
};

struct GradingSpec {
  std::string isolation = "bubblewrap";  // "bubblewrap", "landlock" or "none"
  std::string tests = "apart";           // From the program, or "study": in its process.
  ProgramLimitsSpec programs;
  std::map<std::string, ProgramLimitsSpec> of_language;  // Whole: `programs` with what differs.

  const ProgramLimitsSpec& ProgramsOf(std::string_view language) const;
};

/// The problems of one language: one file.
struct BenchmarkFileSpec {
  std::string language;         // "python" or "java"
  std::string path;             // As written in the sweep file.
  std::optional<int> problems;  // As declared; a file that disagrees is an error.
  int line = 0;
};

struct BenchmarkSpec {
  std::string name;
  std::string format = "multipl-e";      // "multipl-e" or "mceval"
  std::vector<BenchmarkFileSpec> files;  // In the file's order, one per language.
  SamplingSpec sampling;
  std::string post_processing = "study";  // "study", "keep_helpers" or "none"
  GradingSpec grading;
  int line = 0;
};

/// Decides the layout and the reference row of a question's table (study: RQ1, its fine-tuning
/// part, RQ2, RQ3).
enum class QuestionKind {
  kRq1,
  kRq1Finetune,
  kRq2,
  kRq3,
};
/// "rq1", "rq1-finetune", "rq2", "rq3".
std::string_view ToString(QuestionKind kind);
std::optional<QuestionKind> ParseQuestionKind(std::string_view name);

/// A product of models, precisions, calibrations and finetunes over benchmarks. Every name is known
/// to the sweep.
struct QuestionSpec {
  std::string name;
  QuestionKind kind = QuestionKind::kRq1;
  std::vector<std::string> models, precisions;
  std::vector<std::string> calibrations;             // Empty only where every precision is fp16.
  std::vector<std::string> finetunes;                // Default {"none"}.
  std::vector<std::string> benchmarks;               // Default: every one.
  std::optional<std::string> reference_calibration;  // rq2 only, and always there.
  int line = 0;
};

/// A cell is excluded when every list that is not empty holds its coordinate.
struct ExcludeRule {
  std::vector<std::string> questions, models, precisions, calibrations, finetunes, benchmarks,
      languages;
  int line = 0;
};

/// What a model's stages need, in place of the estimate from its config.
struct ResourceSpec {
  std::optional<std::int64_t> gpu_bytes, host_bytes;
  std::optional<int> cores;
};

struct Numerics {
  std::string device = "cpu";  // "cpu" or "cuda"
  std::string dtype = "f32";   // "f32", "f16" or "bf16"
  friend bool operator==(const Numerics&, const Numerics&) = default;
};

struct SweepSpec {
  std::string file_name;  // For messages.
  std::string name;
  std::vector<ModelSpec> models;
  std::vector<PrecisionSpec> precisions;  // fp16 is implied and not listed.
  std::vector<CalibrationSpec> calibrations;
  std::vector<FinetuneSpec> finetunes;
  std::vector<BenchmarkSpec> benchmarks;
  std::vector<QuestionSpec> questions;
  std::vector<ExcludeRule> excludes;
  std::map<std::string, ResourceSpec> resources;  // By model id.
  std::vector<std::int64_t> seeds = {0};
  std::optional<Numerics> numerics;  // Absent: chosen when the sweep is submitted.

  // Each returns nullptr when there is none of that name.
  const ModelSpec* FindModel(std::string_view id) const;
  const PrecisionSpec* FindPrecision(std::string_view label) const;
  const CalibrationSpec* FindCalibration(std::string_view calibration_name) const;
  const FinetuneSpec* FindFinetune(std::string_view finetune_name) const;
  const BenchmarkSpec* FindBenchmark(std::string_view benchmark_name) const;
  const QuestionSpec* FindQuestion(std::string_view question_name) const;
};

/// Reads a sweep file. `file_name` is used in messages only. `settings` (--set NAME=VALUE) override
/// the defaults of the file's `variables:`; `${NAME}` in any value is replaced. INVALID_ARGUMENT:
/// one line per mistake, `file:line: what was found; what is allowed; the nearest spelling`, sorted
/// by line, at most kSweepErrorsMax of them.
absl::StatusOr<SweepSpec> ParseSweep(std::string_view text,
                                     const std::string& file_name,
                                     const std::map<std::string, std::string>& settings = {});

// More than a screenful of mistakes helps nobody.
inline constexpr int kSweepErrorsMax = 20;

/// A file that the sweep reads through the client (models are not among them: workers have those).
struct ReferencedFile {
  enum class Role {
    kBenchmark,
    kCalibration,
  };
  std::string path;  // As written; relative paths are relative to the folder of the sweep file.
  Role role = Role::kBenchmark;
  std::string owner;     // The benchmark's or calibration's name.
  std::string language;  // Of a benchmark's file.
  std::string place;     // "file:line", the line that names it.
};

/// Every reference in the file's order: a path that is named twice comes twice.
std::vector<ReferencedFile> ReferencedFiles(const SweepSpec& spec);

}  // namespace bitsweep
