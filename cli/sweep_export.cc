#include "cli/sweep_export.h"

#include <nlohmann/json.hpp>
#include <set>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>
#include <absl/time/time.h>

#include "bitsweep_generated/build_id.h"
#include "cli/render/json.h"
#include "coordinator/outcomes/csv_reader.h"

namespace bitsweep::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string CsvLine(const std::vector<std::string>& fields) {
  std::vector<std::string> quoted;
  for (const std::string& field : fields) {
    quoted.push_back(CsvField(field));
  }
  return absl::StrCat(absl::StrJoin(quoted, ","), "\n");
}

std::string Known(std::int64_t number) {
  return number > 0 ? absl::StrCat(number) : "";
}

// Seventeen digits give the same double back.
std::string Exact(double number) {
  return absl::StrFormat("%.17g", number);
}

Json StageJson(const v1::StageRecord& stage) {
  Json json = ToJson(stage);
  json.erase("started_us");
  json.erase("ended_us");
  json["started"] = IsoTime(stage.started_us());
  json["ended"] = IsoTime(stage.ended_us());
  return json;
}

}  // namespace

std::string IsoTime(std::int64_t unix_us) {
  return unix_us == 0 ? ""
                      : absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                                         absl::FromUnixMicros(unix_us),
                                         absl::UTCTimeZone());
}

std::string CellsCsv(const std::vector<v1::Cell>& cells) {
  std::string text =
      "model,family,params,precision,calibration,finetuned,benchmark,language,seed,problems,"
      "samples,pass_at_1,size_bytes,effective_bits,state,inspect_stage,quantize_stage,"
      "finetune_stage,generate_stage,grade_stage\n";
  for (const v1::Cell& cell : cells) {
    text += CsvLine({cell.model(),
                     cell.family(),
                     cell.params(),
                     cell.precision(),
                     cell.calibration(),
                     cell.finetuned(),
                     cell.benchmark(),
                     cell.language(),
                     absl::StrCat(cell.seed()),
                     absl::StrCat(cell.problems()),
                     absl::StrCat(cell.samples()),
                     cell.has_result() ? Exact(cell.pass_at_1()) : "",
                     Known(cell.size_bytes()),
                     cell.effective_bits() > 0 ? Exact(cell.effective_bits()) : "",
                     cell.state(),
                     cell.inspect_stage(),
                     cell.quantize_stage(),
                     cell.finetune_stage(),
                     cell.generate_stage(),
                     cell.grade_stage()});
  }
  return text;
}

std::string OutcomesCsvHeader() {
  return "model,quantization,calibration,finetuned,language,problem,sample,pass,benchmark,family,"
         "params,seed,size_bytes,verdict\n";
}

std::string OutcomesCsvRows(const v1::CellOutcomes& piece) {
  const v1::Cell& cell = piece.cell();
  const std::string before = absl::StrCat(CsvField(cell.model()),
                                          ",",
                                          CsvField(cell.precision()),
                                          ",",
                                          CsvField(cell.calibration()),
                                          ",",
                                          CsvField(cell.finetuned()),
                                          ",",
                                          CsvField(cell.language()),
                                          ",");
  const std::string after = absl::StrCat(",",
                                         CsvField(cell.benchmark()),
                                         ",",
                                         CsvField(cell.family()),
                                         ",",
                                         CsvField(cell.params()),
                                         ",",
                                         cell.seed(),
                                         ",",
                                         Known(cell.size_bytes()),
                                         ",");
  std::string text;
  for (const v1::Outcome& outcome : piece.outcomes()) {
    absl::StrAppend(&text,
                    before,
                    CsvField(outcome.problem()),
                    ",",
                    outcome.sample(),
                    outcome.passed() ? ",1" : ",0",
                    after,
                    CsvField(outcome.verdict()),
                    "\n");
  }
  return text;
}

std::string VersionsJson(const ExportedSweep& exported) {
  const v1::SweepRecord& sweep = exported.sweep;
  std::map<std::string, Json> workers;
  std::map<std::string, std::set<std::string>> builds;
  std::map<std::string, std::set<int>> semantics;
  Json stages = Json::array();
  for (const v1::StageRecord& stage : exported.stages) {
    if (stage.attempt() > 0) {
      workers[stage.worker()] = {
          {"name", stage.worker()}, {"version", stage.worker_version()}, {"gpus", stage.gpus()}};
      builds[stage.kind()].insert(stage.build());
      semantics[stage.kind()].insert(stage.semantics());
    }
    stages.push_back(StageJson(stage));
  }
  Json worker_list = Json::array();
  for (const auto& [name, worker] : workers) {
    worker_list.push_back(worker);
  }
  Json record = {{"id", sweep.sweep()},
                 {"name", sweep.name()},
                 {"state", sweep.state()},
                 {"user", sweep.user()},
                 {"created", IsoTime(sweep.created_us())},
                 {"file", sweep.file_name()},
                 {"imported", sweep.imported()},
                 {"numerics", {{"device", sweep.device()}, {"dtype", sweep.dtype()}}}};
  record["settings"] = std::map<std::string, std::string>(sweep.settings().begin(), sweep.settings().end());
  record["files_sha256"] =
      std::map<std::string, std::string>(sweep.file_sha256().begin(), sweep.file_sha256().end());
  const Json all = {{"exported_by", {{"tool", "bitsweep"}, {"version", kVersion}, {"build", kBuildId}}},
                    {"coordinator", ToJson(exported.coordinator)},
                    {"sweep", record},
                    {"workers", worker_list},
                    {"builds", builds},
                    {"semantics", semantics},
                    {"stages", stages}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ExportReadme(const ExportedSweep& exported,
                         const std::string& sweep_file,
                         const std::vector<std::string>& tables,
                         const std::vector<std::string>& stats,
                         const std::vector<ModelCard>& cards) {
  const v1::SweepRecord& sweep = exported.sweep;
  int done = 0;
  for (const v1::Cell& cell : exported.cells) {
    done += cell.has_result() ? 1 : 0;
  }
  std::string text = absl::StrCat("# ", sweep.name(), "\n\n");
  absl::StrAppend(&text,
                  "Sweep ", sweep.sweep(), " (", sweep.state(), ", ", IsoTime(sweep.created_us()), "), exported by bitsweep ",
                  kVersion, " (", kBuildId, "). ", done, " of ", exported.cells.size(), " cells have a result",
                  done == static_cast<int>(exported.cells.size()) ? ".\n" : "; the others have no figure anywhere here.\n");
  if (sweep.imported()) {
    absl::StrAppend(&text,
                    "\nThe outcomes were imported from ", sweep.file_name(),
                    ": nothing was quantized, generated or graded here, and sizes are unknown unless that file had them.\n");
  }
  absl::StrAppend(&text, "\n| file | what it is |\n|---|---|\n",
                  "| `", sweep_file, "` | ", sweep.imported() ? "what the import made of its file" : "the sweep file as submitted", " |\n",
                  "| `cells.csv` | one line a cell: pass@1 in [0, 1], size in bytes, effective bits a weight, state, keys of its stages |\n",
                  "| `outcomes.csv` | one line a sample; `bitsweep import-outcomes outcomes.csv --name N` makes a sweep of it again |\n",
                  "| `versions.json` | coordinator, workers, builds, semantics; every stage with its parameters, summary and digests |\n",
                  "| `SHA256SUMS` | digests of every file here: `sha256sum --check SHA256SUMS` |\n");
  const auto list = [&](const std::vector<std::string>& names, const char* what) {
    for (const std::string& name : names) {
      absl::StrAppend(&text, "| `", name, "` | ", what, " |\n");
    }
  };
  list(tables, "a table of a question on a benchmark");
  list(stats, "the tests of a question: exact McNemar over samples, and over problems beside it");
  for (const ModelCard& card : cards) {
    absl::StrAppend(&text, "| `models/", card.name, ".md` | the card of a checkpoint |\n");
  }
  if (cards.empty()) {
    text += "\nThere is no model card: this sweep has made no checkpoint.\n";
  }
  return text;
}

}  // namespace bitsweep::cli
