// bitsweep-grade: runs generated programs in a sandbox and writes verdicts. `run` for use by hand,
// `run-spec` for the worker.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <thread>
#include <unistd.h>

#include "bitsweep_generated/build_id.h"
#include "bitsweep_generated/semantics.h"
#include "worker/grade/cancellation.h"
#include "worker/grade/grade_job.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitSignalBase = 128;

const Cancellation* cancellation_of_process = nullptr;
volatile std::sig_atomic_t signal_received = 0;

void OnSignal(int number) {
  signal_received = number;
  cancellation_of_process->Cancel();
}

int UsableCpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

struct Arguments {
  GradeJob job;
  std::string spec;
  std::string post_processing = "study";
  std::string isolation = "bubblewrap";
  std::string grading = "apart";
  double timeout_seconds = 15;
  int events = -1;
};

void AddRun(CLI::App& app, Arguments& arguments) {
  CLI::App* run = app.add_subcommand("run", "Grade completions");
  GraderOptions& options = arguments.job.options;
  run->add_option("--benchmark", arguments.job.benchmark, "Records, JSON array or JSON lines")
      ->required();
  CLI::Option* completions = run->add_option(
      "--completions", arguments.job.completions, "JSON lines with name, sample, completion");
  run->add_flag(
         "--canonical", arguments.job.canonical, "Grade the records' canonical solutions instead")
      ->excludes(completions);
  run->add_option(
         "--output", arguments.job.output, "Verdicts, JSON lines, in the order of the completions")
      ->required();
  run->add_option("--post-processing", arguments.post_processing, "What is kept of a completion")
      ->check(CLI::IsMember({"study", "keep_helpers", "none"}))
      ->capture_default_str();
  run->add_option("--isolation", arguments.isolation, "Required isolation")
      ->check(CLI::IsMember({"bubblewrap", "landlock", "none"}))
      ->capture_default_str();
  run->add_option("--grading",
                  arguments.grading,
                  "Tests: apart from the program, or as in the study in its process")
      ->check(CLI::IsMember({"apart", "study"}))
      ->capture_default_str();
  run->add_option("--jobs", options.jobs, "Programs at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  run->add_option("--timeout", arguments.timeout_seconds, "CPU seconds for each program; the wall clock ends it after four times as many")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  run->add_option("--python",
                  options.python,
                  "Interpreter (default: /usr/bin/python3, else the first in PATH)");
  run->add_option(
      "--java", options.java, "java of a JDK (default: /usr/bin/java, else the first in PATH)");
  run->add_option("--javatuples",
                  options.javatuples,
                  "javatuples 1.2 jar, for programs that import org.javatuples");
  run->add_option("--events", arguments.events, "Descriptor that takes events as JSON lines");
}

/// Turns option texts into the job; CLI11 has checked them.
absl::StatusOr<GradeJob> JobOf(const Arguments& arguments, bool from_spec) {
  GradeJob job = arguments.job;
  if (from_spec) {
    BITSWEEP_ASSIGN_OR_RETURN(job, ReadSpec(arguments.spec));
  } else {
    job.options.post_processing = *benchmark::ParsePostProcessing(arguments.post_processing);
    job.options.isolation = *ParseIsolation(arguments.isolation);
    job.options.tests_apart = arguments.grading == "apart";
    job.options.limits.cpu = absl::Seconds(arguments.timeout_seconds);
    job.options.limits.wall = kWallPerCpu * job.options.limits.cpu;
  }
  const char* path = std::getenv("PATH");
  job.options.search_path = path != nullptr ? path : "";
  return job;
}

int Grade(const Arguments& arguments, bool from_spec) {
  // The agent reads events from standard output unless told otherwise; by hand nobody wants them
  // there.
  const int descriptor = arguments.events < 0 && from_spec ? STDOUT_FILENO : arguments.events;
  if (descriptor >= 0 && fcntl(descriptor, F_GETFD) < 0) {
    std::fprintf(stderr, "bitsweep-grade: --events %d: this descriptor is not open\n", descriptor);
    return kExitUsage;
  }
  if (descriptor > STDERR_FILENO) {
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);  // Not for programs.
  }
  const Cancellation cancellation;
  cancellation_of_process = &cancellation;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(number, &action, nullptr);
  }
  PrepareToRunChildren();
  GradeEvents events(descriptor, isatty(STDERR_FILENO) == 1);
  events.Hello();
  const absl::StatusOr<GradeJob> job = JobOf(arguments, from_spec);
  const absl::Status status = job.ok() ? RunGradeJob(*job, events, cancellation) : job.status();
  if (status.ok()) {
    return EXIT_SUCCESS;
  }
  events.Failed(status);
  return absl::IsCancelled(status) ? kExitSignalBase + signal_received : kExitFailed;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs generated programs in a sandbox and writes verdicts.", "bitsweep-grade");
  app.require_subcommand(1);
  Arguments arguments;
  // As ParseSpec does.
  arguments.job.options.jobs = 2 * UsableCpus();
  AddRun(app, arguments);
  CLI::App* spec = app.add_subcommand("run-spec", "Carry out a stage spec of kind `grade`");
  spec->add_option("spec", arguments.spec, "SPEC.json")->required();
  spec->add_option("--events",
                   arguments.events,
                   "Descriptor that takes events as JSON lines (default: standard output)");
  CLI::App* version =
      app.add_subcommand("version", "Print the version, the build and the semantics");
  std::string version_output = "text";
  version->add_option("--output", version_output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  try {
    app.parse(argc, argv);
    if (app.got_subcommand("run") && !arguments.job.canonical &&
        arguments.job.completions.empty()) {
      throw CLI::RequiredError("--completions (or --canonical)");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : kExitUsage;
  }
  if (version->parsed()) {
    // The agent asks for the JSON form: what a worker offers follows from it.
    const bool is_json = version_output == "json";
    std::printf(is_json ? R"({"version": "%s", "build": "%s", "semantics": {"grade": %d}})" "\n"
                        : "bitsweep-grade %s (build %s, semantics grade %d)\n",
                kVersion,
                kBuildId,
                SemanticsOf("grade"));
    return EXIT_SUCCESS;
  }
  return Grade(arguments, spec->parsed());
}

}  // namespace
}  // namespace bitsweep::grade

int main(int argc, char** argv) {
  return bitsweep::grade::Main(argc, argv);
}
