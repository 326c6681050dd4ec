// bitsweep stats [SWEEP]: the study's test and the honest one beside it, run by the coordinator.
#include <memory>

#include <absl/strings/str_cat.h>

#include "cli/client.h"
#include "cli/render/json.h"
#include "cli/verb.h"

#include "proto/base/status_macros.h"

namespace bitsweep::cli {
namespace {

using Json = nlohmann::ordered_json;

// A million permutations of a large study take minutes, and asking for them is the user's choice.
constexpr absl::Duration kStatsTimeout = absl::Minutes(30);

struct StatsOptions {
  std::string sweep = "latest";
  std::string question, benchmark;
  std::string format;
  std::uint64_t seed = 0;
  int permutations = 0, resamples = 0;
};

/// One question's document as it is; several as one, each row with its question.
absl::StatusOr<Json> Joined(const v1::StatsResponse& response) {
  Json all = {{"rows", Json::array()}, {"questions", Json::array()}};
  for (const v1::QuestionStats& question : response.questions()) {
    Json one = Json::parse(question.text(), nullptr, /*allow_exceptions=*/false);
    if (!one.is_object() || !one.contains("rows")) {
      return absl::InternalError(
          absl::StrCat("the coordinator's tests of ", question.question(), " are no JSON"));
    }
    if (response.questions_size() == 1) {
      return one;
    }
    for (Json& row : one["rows"]) {
      Json named = {{"question", question.question()}};
      named.update(row);
      all["rows"].push_back(std::move(named));
    }
    one.erase("rows");
    one["question"] = question.question();
    one["kind"] = question.kind();
    all["questions"].push_back(std::move(one));
  }
  return all;
}

absl::StatusOr<ExitCode> RunStats(StatsOptions options, Context& context) {
  if (options.format.empty()) {
    options.format = context.json() ? "json" : "text";
  }
  BITSWEEP_ASSIGN_OR_RETURN(Client * client, context.client());
  v1::StatsRequest request;
  request.set_sweep(options.sweep);
  request.set_question(options.question);
  request.set_benchmark(options.benchmark);
  request.set_seed(options.seed);
  request.set_permutations(options.permutations);
  request.set_resamples(options.resamples);
  request.set_format(options.format);
  BITSWEEP_ASSIGN_OR_RETURN(
      const v1::StatsResponse response,
      client->Call(client->results(), &v1::Results::Stub::Stats, request, kStatsTimeout));
  if (options.format == "json") {
    BITSWEEP_ASSIGN_OR_RETURN(const Json json, Joined(response));
    context.PrintJson(json);
    return ExitCode::kOk;
  }
  const bool several = response.questions_size() > 1;
  for (int i = 0; i < response.questions_size(); ++i) {
    const v1::QuestionStats& question = response.questions(i);
    if (i > 0) {
      context.Print(Line());
    }
    // CSV files of several questions, one after another, would not be told apart.
    if (several && options.format == "csv") {
      context.Print(Line(absl::StrCat("# ", question.question()), Style::kBold));
    }
    context.PrintRaw(question.text());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddStats(CLI::App& app, VerbRun& chosen) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* verb = app.add_subcommand("stats", "Test which differences are more than chance");
  AddSweepArgument(*verb, options->sweep);
  verb->add_option("--question", options->question, "Only this question")->type_name("NAME");
  verb->add_option("--benchmark", options->benchmark, "Only this benchmark")->type_name("NAME");
  verb->add_option("--seed", options->seed, "Of the resampling; the same seed, the same figures")
      ->type_name("N")
      ->capture_default_str();
  verb->add_option("--permutations", options->permutations, "Sign flips over problems")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000'000).description(""));
  verb->add_option("--resamples", options->resamples, "Bootstrap resamples over problems")
      ->type_name("N")
      ->check(CLI::Range(1, 10'000'000).description(""));
  verb->add_option("--format", options->format, "How the tests are written")
      ->type_name("text|markdown|csv|json")
      ->check(CLI::IsMember({"text", "markdown", "csv", "json"}).description(""));
  verb->callback([options, &chosen] {
    chosen = [options](Context& context) { return RunStats(*options, context); };
  });
}

}  // namespace bitsweep::cli
