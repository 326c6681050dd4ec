// What a sweep is handed out as: every text of an export folder, made of the coordinator's answers.
// Free functions without state: any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bitsweep/v1/results.pb.h"
#include "bitsweep/v1/sweeps.pb.h"

namespace bitsweep::cli {

/// A sweep as the coordinator describes it.
struct ExportedSweep {
  v1::SweepRecord sweep;
  std::vector<v1::StageRecord> stages;  // Upstream before downstream.
  std::vector<v1::Cell> cells;          // In the sweep's order.
  v1::VersionResponse coordinator;
};

struct ModelCard {
  std::string name;  // <base>-AQLM-<precision>-<calibration>[-finetuned]-<codebooks>x<bits>
  std::string text;  // Markdown.
};

/// One card per checkpoint that a stage of ours has made; imported variants have none.
std::vector<ModelCard> ModelCards(const ExportedSweep& exported);

/// One line a cell: the columns of the view cell_results, with the stages' keys. Fractions in full
/// precision, empty where there is no figure.
std::string CellsCsv(const std::vector<v1::Cell>& cells);

/// The columns of outcomes.csv, which import-outcomes reads.
std::string OutcomesCsvHeader();
/// The lines of one piece.
std::string OutcomesCsvRows(const v1::CellOutcomes& piece);

/// Who made what: this tool, the coordinator, workers and builds of every stage.
std::string VersionsJson(const ExportedSweep& exported);

/// What is what in the folder. `tables` and `stats` are the names of their files.
std::string ExportReadme(const ExportedSweep& exported,
                         const std::string& sweep_file,
                         const std::vector<std::string>& tables,
                         const std::vector<std::string>& stats,
                         const std::vector<ModelCard>& cards);

/// "2026-11-22T10:00:00Z"; empty for 0.
std::string IsoTime(std::int64_t unix_us);

}  // namespace bitsweep::cli
