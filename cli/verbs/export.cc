// bitsweep export [SWEEP] --out DIR: everything there is of a sweep, in one folder that stands for
// itself. The folder appears whole or not at all.
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/export_folder.h"
#include "cli/render/text.h"
#include "cli/sweep_export.h"
#include "cli/verb.h"
#include "cli/verbs/tables_text.h"
#include "coordinator/study/tables.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

// All samples of a study come in one stream; a slow disk may take its time over them.
constexpr absl::Duration kStreamTimeout = absl::Minutes(30);

struct ExportOptions {
  std::string sweep = "latest";
  std::string out;
  bool force = false;
};

struct Format {
  const char* name;
  const char* extension;
};
constexpr Format kStatsFormats[] = {
    {"text", "txt"}, {"markdown", "md"}, {"csv", "csv"}, {"json", "json"}};

std::string WithLineEnd(const std::string& text) {
  return text.ends_with('\n') ? text : text + "\n";
}

class Exporter {
 public:
  Exporter(Client& client, std::string sweep, ExportFolder& folder)
      : client_(client), folder_(folder), sweep_(std::move(sweep)) {}

  absl::StatusOr<ExportedSweep> Run() {
    BITSWEEP_RETURN_IF_ERROR(ReadRecord());
    // From here on by its number: "latest" may become another one.
    sweep_ = absl::StrCat(exported_.sweep.sweep());
    BITSWEEP_RETURN_IF_ERROR(ReadCells());
    BITSWEEP_RETURN_IF_ERROR(WriteTables());
    BITSWEEP_RETURN_IF_ERROR(WriteStats());
    BITSWEEP_RETURN_IF_ERROR(WriteOutcomes());
    const std::string file = exported_.sweep.imported()              ? "imported.json"
                             : exported_.sweep.text().starts_with('{') ? "sweep.json"
                                                                       : "sweep.yaml";
    BITSWEEP_RETURN_IF_ERROR(folder_.Write(file, exported_.sweep.text()));
    BITSWEEP_RETURN_IF_ERROR(folder_.Write("cells.csv", CellsCsv(exported_.cells)));
    BITSWEEP_RETURN_IF_ERROR(folder_.Write("versions.json", VersionsJson(exported_)));
    const std::vector<ModelCard> cards = ModelCards(exported_);
    for (const ModelCard& card : cards) {
      BITSWEEP_RETURN_IF_ERROR(folder_.Write(absl::StrCat("models/", card.name, ".md"), card.text));
    }
    BITSWEEP_RETURN_IF_ERROR(
        folder_.Write("README.md", ExportReadme(exported_, file, tables_, stats_, cards)));
    BITSWEEP_RETURN_IF_ERROR(folder_.Commit());
    return std::move(exported_);
  }

 private:
  absl::Status ReadRecord() {
    BITSWEEP_ASSIGN_OR_RETURN(
        exported_.coordinator,
        client_.Call(client_.sweeps(), &v1::Sweeps::Stub::Version, v1::VersionRequest()));
    v1::RecordRequest request;
    request.set_sweep(sweep_);
    grpc::ClientContext context;
    Client::SetDeadline(context, kStreamTimeout);
    const auto reader = client_.results().Record(&context, request);
    v1::RecordPart part;
    while (reader->Read(&part)) {
      if (part.has_sweep()) {
        exported_.sweep = part.sweep();
      }
      if (part.has_stage()) {
        exported_.stages.push_back(part.stage());
      }
    }
    return Finished(reader->Finish());
  }

  absl::Status ReadCells() {
    v1::CellsRequest request;
    request.set_sweep(sweep_);
    BITSWEEP_ASSIGN_OR_RETURN(
        const v1::CellsResponse cells,
        client_.Call(client_.results(), &v1::Results::Stub::Cells, request, kLongCallTimeout));
    exported_.cells.assign(cells.cells().begin(), cells.cells().end());
    return absl::OkStatus();
  }

  absl::Status WriteTables() {
    for (const std::string& format : TableFormatNames()) {
      TablesOptions options;
      options.sweep = sweep_;
      options.format = format;
      BITSWEEP_ASSIGN_OR_RETURN(
          const v1::TableResponse response,
          client_.Call(
              client_.results(), &v1::Results::Stub::Table, ToRequest(options), kLongCallTimeout));
      for (const v1::Table& table : response.tables()) {
        const std::string name = absl::StrCat("tables/", FileName(options, table));
        BITSWEEP_RETURN_IF_ERROR(folder_.Write(name, WithLineEnd(FileText(options, table))));
        tables_.push_back(name);
      }
    }
    return absl::OkStatus();
  }

  absl::Status WriteStats() {
    for (const Format& format : kStatsFormats) {
      v1::StatsRequest request;
      request.set_sweep(sweep_);
      request.set_format(format.name);
      BITSWEEP_ASSIGN_OR_RETURN(
          const v1::StatsResponse response,
          client_.Call(client_.results(), &v1::Results::Stub::Stats, request, kStreamTimeout));
      for (const v1::QuestionStats& question : response.questions()) {
        const std::string name =
            absl::StrCat("stats/", PlainFileName(question.question()), ".", format.extension);
        BITSWEEP_RETURN_IF_ERROR(folder_.Write(name, WithLineEnd(question.text())));
        stats_.push_back(name);
      }
    }
    return absl::OkStatus();
  }

  absl::Status WriteOutcomes() {
    BITSWEEP_RETURN_IF_ERROR(folder_.Write("outcomes.csv", OutcomesCsvHeader()));
    v1::OutcomesRequest request;
    request.set_sweep(sweep_);
    grpc::ClientContext context;
    Client::SetDeadline(context, kStreamTimeout);
    const auto reader = client_.results().Outcomes(&context, request);
    v1::CellOutcomes piece;
    while (reader->Read(&piece)) {
      const absl::Status written = folder_.Append("outcomes.csv", OutcomesCsvRows(piece));
      if (!written.ok()) {
        context.TryCancel();
        (void)reader->Finish();
        return written;
      }
    }
    return Finished(reader->Finish());
  }

  absl::Status Finished(const grpc::Status& status) const {
    return status.ok() ? absl::OkStatus() : client_.Explain(status);
  }

  Client& client_;
  ExportFolder& folder_;
  std::string sweep_;
  ExportedSweep exported_;
  std::vector<std::string> tables_, stats_;
};

absl::StatusOr<ExitCode> RunExport(const ExportOptions& options, Context& context) {
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  BITSWEEP_ASSIGN_OR_RETURN(const std::unique_ptr<ExportFolder> folder,
                            ExportFolder::Begin(options.out, options.force));
  BITSWEEP_ASSIGN_OR_RETURN(const ExportedSweep exported,
                            Exporter(*client, options.sweep, *folder).Run());
  const auto files = static_cast<std::int64_t>(folder->files()) + 1;
  if (context.json()) {
    context.PrintJson({{"sweep", exported.sweep.sweep()},
                       {"name", exported.sweep.name()},
                       {"out", options.out},
                       {"files", files}});
    return ExitCode::kOk;
  }
  context.Print(absl::StrCat("exported ",
                             exported.sweep.name(),
                             " (sweep ",
                             exported.sweep.sweep(),
                             ") to ",
                             options.out,
                             ": ",
                             Plural(files, "file"),
                             "; its README.md says what is what"));
  return ExitCode::kOk;
}

}  // namespace

void AddExport(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* verb = app.add_subcommand(
      "export", "Write tables, tests, outcomes, model cards and versions into a folder");
  AddSweepArgument(*verb, options->sweep);
  verb->add_option("--out", options->out, "The folder to make")->type_name("DIR")->required();
  verb->add_flag("--force", options->force, "Replace an earlier export of this name");
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunExport(*options, context); };
  });
}

}  // namespace bitsweep::cli
