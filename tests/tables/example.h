// A sweep with every kind of question and every kind of figure: finished, best, tied, running,
// failed, excluded, with hostile names. What the golden files show.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "coordinator/study/tables.h"

namespace bitsweep {

inline constexpr const char* kExampleSweep = R"yaml(name: example
models:
  - {id: wren-7b, family: Wren, params: 7B}
  - {id: wren-34b, family: Wren, params: 34B}
  - {id: odd-1b, family: 'A&B_50% {x} #1 ~^\ $ <b> "q" [é] 中 | a--b*', params: 1B}
precisions:
  8-bit: {codebooks: 4, codebook_bits: 15}
  4-bit: {codebooks: 2, codebook_bits: 15}
  2-bit: {codebooks: 1, codebook_bits: 15}
calibrations:
  random: {path: r.jsonl, sequences: 2, sequence_length: 8}
  mixed: {path: m.jsonl, sequences: 2, sequence_length: 8}
finetunes: {kl: {}}
benchmarks:
  humaneval_x:
    languages: {python: p.jsonl, java: j.jsonl}
    problems: {python: 161, java: 158}
    sampling: {samples: 20}
exclude:
  - {model: odd-1b, precision: 4-bit, language: java}
questions:
  rq1: {models: [wren-7b, odd-1b], precisions: [fp16, 8-bit, 4-bit, 2-bit], calibrations: [random]}
  rq1-finetune: {models: [wren-7b], precisions: [fp16, 4-bit, 2-bit], calibrations: [random], finetunes: [none, kl]}
  rq2: {models: [wren-7b], precisions: [fp16, 8-bit, 2-bit], calibrations: [random, mixed], reference: {calibration: random}}
  rq3: {models: [wren-34b, wren-7b], precisions: [fp16, 2-bit], calibrations: [mixed], finetunes: [none, kl]}
)yaml";

inline SweepSpec ExampleSpec() {
  absl::StatusOr<SweepSpec> spec = ParseSweep(kExampleSweep, "example.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : SweepSpec();
}

inline CellResult ExampleCell(const std::string& model,
                              const std::string& precision,
                              const std::string& calibration,
                              const std::string& finetuned,
                              const std::string& language) {
  CellResult cell;
  cell.model = model;
  cell.precision = precision;
  cell.calibration = calibration;
  cell.finetuned = finetuned;
  cell.benchmark = "humaneval_x";
  cell.language = language;
  cell.problems = language == "python" ? 161 : 158;
  cell.samples = 20;
  return cell;
}

/// Both languages of one variant; a negative figure is one that is not there yet.
inline void AddExample(std::vector<CellResult>& cells,
                       const std::string& variant,
                       double python,
                       double java,
                       std::int64_t bytes,
                       double bits) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= variant.size();) {
    const std::size_t to = std::min(variant.find(' ', from), variant.size());
    parts.push_back(variant.substr(from, to - from));
    from = to + 1;
  }
  for (const auto& [language, figure] : {std::pair{"python", python}, {"java", java}}) {
    cells.push_back(ExampleCell(parts.at(0), parts.at(1), parts.at(2), parts.at(3), language));
    CellResult& cell = cells.back();
    cell.size_bytes = bytes;
    cell.effective_bits = bits;
    if (figure >= 0) {
      cell.state = "succeeded";
      cell.pass_at_1 = figure;
    }
  }
}

inline std::vector<CellResult> ExampleResults() {
  std::vector<CellResult> cells;
  AddExample(cells, "wren-7b fp16 none none", 0.298, 0.322, 13'476'839'424, 16);
  AddExample(cells, "wren-7b 8-bit random none", 0.297, 0.322, 7'473'000'000, 8.084);
  AddExample(cells, "wren-7b 8-bit mixed none", 0.2968, 0.325, 7'473'000'000, 8.084);
  AddExample(cells, "wren-7b 4-bit random none", 0.297, 0.307, 4'000'000'000, 4.044);
  AddExample(cells, "wren-7b 4-bit random kl", 0.299, -1, 4'000'000'000, 4.044);
  AddExample(cells, "wren-7b 2-bit random none", 0.164, 0.141, 2'260'000'000, 2.023);
  AddExample(cells, "wren-7b 2-bit random kl", 0.199, 0.199, 2'260'000'000, 2.023);
  AddExample(cells, "wren-7b 2-bit mixed none", 0.239, 0.230, 2'260'000'000, 2.023);
  AddExample(cells, "wren-7b 2-bit mixed kl", 0.255, 0.230, 2'260'000'000, 2.023);
  AddExample(cells, "wren-34b fp16 none none", 0.0, 0.45, 67'490'000'000, 16);
  AddExample(cells, "wren-34b 2-bit mixed none", 0.371, 0.40, 9'540'000'000, 2.0);
  AddExample(cells, "odd-1b fp16 none none", 0.5, 1.0 / 3, 2'690'000'000, 16);
  AddExample(cells, "odd-1b 8-bit random none", -1, -1, 1'700'000'000, 8.1);
  AddExample(cells, "odd-1b 4-bit random none", 0.5 + 1e-16, -1, 1'000'000'000, 4.2);
  for (CellResult& cell : cells) {
    if (cell.model == "odd-1b" && cell.precision == "8-bit") {
      cell.state = cell.language == "python" ? "running" : "failed";
      cell.stages_done = 3;
      cell.stages_total = 5;
      cell.failure_class = cell.language == "python" ? "" : "bad_input";
    }
  }
  cells.front().weak_witnesses = 7;
  return cells;
}

}  // namespace bitsweep
