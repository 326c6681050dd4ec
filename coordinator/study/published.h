// Figures that others have published, as they printed them: what `compare` puts ours beside. The
// data are CSV files below published/, part of the binary. Constant values: any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace bitsweep {

/// One language's figures in one row of a published table.
struct PublishedFigure {
  std::string language;          // "python", "java"
  double pass_at_1 = 0;          // Percent, as printed (one decimal).
  std::optional<double> dec;     // Percent of fp16 at the same size, as printed; rq3 only.
  std::optional<bool> arrow_up;  // The printed mark against the row's reference.
};

/// A row under the labels that a sweep uses: "fp16" and "none" where there is none.
struct PublishedRow {
  std::string question, benchmark, family, params, precision, calibration;
  bool finetuned = false;
  double size = 0;  // As printed.
  std::string
      size_unit;  // "GB" (10^9 bytes) or "GiB" (2^30): what the printed figure turns out to be.
  std::vector<PublishedFigure> figures;  // Python, then Java.
};

/// One of the authors' own tests, on RQ1 and MultiPL-E.
struct PublishedTest {
  std::string model, language, precision;
  double p_adjusted = 1;
  double odds_ratio = 1;
};

/// An AQLM configuration behind a label.
struct PublishedPrecision {
  std::string label;
  int codebooks = 0, codebook_bits = 0, group_size = 0;
};

/// How much a benchmark measured.
struct PublishedBenchmark {
  std::string benchmark, language;
  int problems = 0, samples = 0;  // Samples of a problem.
};

struct PublishedStudy {
  std::string name;  // "arxiv:2503.07103"
  std::string title;
  std::vector<PublishedRow> rows;  // In the order of print; a cell comes once for each question.
  std::vector<PublishedTest> tests;
  std::vector<PublishedPrecision> precisions;
  std::vector<PublishedBenchmark> benchmarks;
};

/// "arxiv:2503.07103". NOT_FOUND lists what there is, and the nearest. The pointer is never null
/// and lives as long as the process.
absl::StatusOr<const PublishedStudy*> FindPublished(std::string_view name);

/// Reads the two tables of arXiv 2503.07103; lines that begin with '#' are comments.
/// INVALID_ARGUMENT: `line n: what was found`.
absl::StatusOr<std::vector<PublishedRow>> ParsePublishedRows(std::string_view csv);
absl::StatusOr<std::vector<PublishedTest>> ParsePublishedTests(std::string_view csv);

/// Something that a published table prints and its own printed figures do not give.
struct PublishedFinding {
  enum class Kind {
    kDec,        // A Dec (%) that does not follow from the row and its fp16 row.
    kArrow,      // A mark that points the other way.
    kTie,        // A mark between two figures that print alike: the table cannot tell.
    kDisagrees,  // One cell printed differently in two tables.
  };
  Kind kind = Kind::kDec;
  std::string place;  // "rq3, mceval, CodeLlama 7B 2-bit mixed, fine-tuned, python"
  std::string text;   // What is printed and what follows, one sentence without a full stop.
};

struct PublishedCheck {
  int decs = 0, decs_agree = 0;
  int arrows = 0, arrows_agree = 0;  // A tie agrees with neither mark and is counted in `ties`.
  int ties = 0;
  std::vector<PublishedFinding> findings;  // In the order of print.
};

/// Recomputes every Dec (%) and every mark of `rows` from the printed figures alone. Dec (%) is 100
/// (figure - fp16) / fp16 to one decimal; marks compare rq1-finetune with the same precision not
/// fine-tuned and rq2 with random calibration at the same precision.
PublishedCheck CheckPublished(const std::vector<PublishedRow>& rows);

}  // namespace bitsweep
