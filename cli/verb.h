// How a verb joins the command line: each file in verbs/ has one Add<Verb>, which declares the
// verb's options and, when the verb is chosen, leaves what to run in `chosen`. Nothing runs while
// the command line is still being read. Runs on: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/context.h"

namespace bitsweep::cli {

void AddPlan(CLI::App& app, VerbRun& chosen);
void AddSubmit(CLI::App& app, VerbRun& chosen);
void AddStatus(CLI::App& app, VerbRun& chosen);
void AddWatch(CLI::App& app, VerbRun& chosen);
void AddTables(CLI::App& app, VerbRun& chosen);
void AddCells(CLI::App& app, VerbRun& chosen);
void AddStats(CLI::App& app, VerbRun& chosen);
void AddCompare(CLI::App& app, VerbRun& chosen);
void AddExport(CLI::App& app, VerbRun& chosen);
void AddImportOutcomes(CLI::App& app, VerbRun& chosen);
void AddWorkers(CLI::App& app, VerbRun& chosen);
void AddExplain(CLI::App& app, VerbRun& chosen);
void AddLogs(CLI::App& app, VerbRun& chosen);
/// cancel, pause, resume and retry: one shape, one file.
void AddActions(CLI::App& app, VerbRun& chosen);
void AddVersion(CLI::App& app, VerbRun& chosen);
/// `completion`, and the hidden `__complete` that the completion scripts call.
void AddCompletion(CLI::App& app, VerbRun& chosen);

/// The usual argument SWEEP: an id, a name or "latest"; "latest" when it is left out and not
/// `required`.
CLI::Option* AddSweepArgument(CLI::App& verb, std::string& sweep, bool required = false);

}  // namespace bitsweep::cli
