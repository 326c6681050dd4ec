// The tables of RQ1 to RQ3 in the study's layout, from the results of cells, and their text in
// every format. Always truthful: a cell that is not finished says so, figures are compared
// unrounded unless the study's own rounding is asked for, every unit is stated. Plain values and
// free functions: any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/study/marks.h"
#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// One cell (one seed) as the store reads it: the coordinates of CellDefinition and what is known
/// of its outcome.
struct CellResult {
  std::string model, family, params;
  std::string precision, calibration, finetuned;  // "fp16" and "none" where there is none.
  std::string benchmark, language;
  std::int64_t seed = 0;
  std::string state = "pending";          // pending, running, succeeded, failed, cancelled
  int stages_done = 0, stages_total = 0;  // Of the cell's chain: "running 3/5".
  std::string failure_class;  // Where the state is failed: the class of the stage that failed.
  int problems = 0, samples = 0;
  std::optional<double> pass_at_1;         // In [0, 1]; only where succeeded.
  std::optional<std::int64_t> size_bytes;  // Of the checkpoint's weights as stored.
  std::optional<double>
      effective_bits;  // Measured from the file by the stage that wrote it, codes packed; fp16: 16.
  std::optional<std::int64_t> parameters;  // From the model's config.json.
  int weak_witnesses =
      0;  // Samples whose verdict one process decided (evaluation: `witness: weak`).
};

enum class TableFormat {
  kMarkdown,
  kCsv,
  kJson,
  kLatex,
  kHtml,
};
/// INVALID_ARGUMENT lists the formats. An empty name is markdown.
absl::StatusOr<TableFormat> ParseTableFormat(std::string_view name);
/// "markdown", "csv", "json", "latex", "html".
const std::vector<std::string>& TableFormatNames();
/// "md", "csv", "json", "tex", "html".
std::string_view FileExtension(TableFormat format);

/// A 95% interval of a pass@1, as fractions in [0, 1].
struct FigureInterval {
  double low = 0, high = 0;
};

struct TableRow;

struct TableOptions {
  // Differences, arrows, Dec (%) and the best are taken from the figures as they print, to one
  // decimal of a percent: how the study made its tables. The figures themselves stay unrounded.
  bool rounded = false;
  // Asked for each figure that is there; null: the tables have no intervals.
  std::function<std::optional<FigureInterval>(const TableRow& row, const std::string& language)>
      interval;
};

/// What one language's column shows in one row.
struct TableFigure {
  std::string state;  // "succeeded", or what the cell says instead of a figure: "running 3/5".
  std::optional<double>
      pass_at_1;  // Mean over seeds, in [0, 1], unrounded; only where every seed succeeded.
  std::optional<double> spread;  // Sample standard deviation over seeds; only with several.
  std::optional<double>
      difference;              // pass_at_1 less the reference row's; absent for reference rows.
  std::optional<Arrow> arrow;  // Where there is a difference.
  std::optional<double> dec_percent;       // rq3: DecPercent against the reference row.
  std::optional<FigureInterval> interval;  // Over problems; where it was asked for and known.
  // The highest of its group's quantized rows in this column, or one of several; only where there
  // are at least two of them and all have a figure.
  bool best = false;
  int problems = 0, samples = 0, weak_witnesses = 0;
  int seeds = 0, seeds_done = 0;  // Of the sweep, and those of them that have a figure.
};

struct TableRow {
  std::string model, family, params;
  std::string precision, calibration, finetuned;
  std::optional<std::int64_t> size_bytes, parameters;
  std::optional<double> effective_bits;
  bool reference = false;            // Other rows of its group are compared with this one.
  int group = 0;                     // Rows with one reference row, that row included.
  std::vector<TableFigure> figures;  // One per language of the table, in order.
};

/// A table before it is text; every format renders this.
struct Table {
  std::string question, benchmark;
  QuestionKind kind = QuestionKind::kRq1;
  bool rounded = false;  // As TableOptions.
  std::vector<std::string> languages;
  std::vector<TableRow> rows;      // In the order shown.
  std::vector<std::string> notes;  // Footers, one sentence or two each.
};

/// The table of one question on one benchmark. `results` may hold other cells; those that the
/// question does not ask for are passed over. A cell of the question without a result is shown as
/// `pending`. INVALID_ARGUMENT: no such question or benchmark (the message lists those there are,
/// and the nearest), or the question does not use the benchmark.
absl::StatusOr<Table> BuildTable(const SweepSpec& spec,
                                 std::string_view question,
                                 std::string_view benchmark,
                                 const std::vector<CellResult>& results,
                                 const TableOptions& options = {});

/// GitHub's Markdown, columns aligned, notes below. Figures are percent with one decimal.
std::string RenderMarkdown(const Table& table);

/// One line per row, full precision, units in the column names (`size_bytes`, `python_pass_at_1` in
/// [0, 1], `python_state`), no comments: what a notebook reads.
std::string RenderCsv(const Table& table);

/// One object: `question, kind, benchmark, title, rounded, languages, rows, notes`. A row has the
/// coordinates, `size_bytes`, `effective_bits`, `parameters`, `reference`, `group` and `figures`,
/// by language; what is not known is null. Fractions and bytes in full precision.
std::string RenderJson(const Table& table);

/// A `table` environment for a document that has \usepackage{booktabs} and nothing else: caption,
/// label `tab:<question>:<benchmark>`, notes below. All text is escaped.
std::string RenderLatex(const Table& table);
/// A document that compiles, of such tables.
std::string LatexDocument(const std::vector<std::string>& tables);

/// A `section` with an accessible table (caption, scopes), without script. Its looks are in
/// HtmlPage, where it has to be put.
std::string RenderHtml(const Table& table);
/// A page that needs nothing else, light and dark, readable on a phone, of such sections.
std::string HtmlPage(std::string_view title, const std::vector<std::string>& sections);

std::string RenderTable(const Table& table, TableFormat format);

/// BuildTable and the text of it.
absl::StatusOr<std::string> RenderTable(const SweepSpec& spec,
                                        std::string_view question,
                                        std::string_view benchmark,
                                        const std::vector<CellResult>& results,
                                        TableFormat format,
                                        const TableOptions& options = {});

}  // namespace bitsweep
