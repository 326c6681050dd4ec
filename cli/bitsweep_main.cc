// bitsweep: the command line tool. Everything lies in run.h; this is the process around it.
#include <cstdlib>
#include <exception>
#include <iostream>
#include <unistd.h>

#include <absl/time/clock.h>

#include "cli/run.h"

int main(int argc, char** argv) {
  using namespace bitsweep::cli;
  std::ios::sync_with_stdio(false);
  const ReadVariable variable = [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  Environment environment{
      .out = std::cout,
      .err = std::cerr,
      .out_terminal = InspectTerminal(STDOUT_FILENO, variable),
      .err_terminal = InspectTerminal(STDERR_FILENO, variable),
      .variable = variable,
      .now = [] { return absl::Now(); },
      .look_again = [&variable] { return InspectTerminal(STDOUT_FILENO, variable); }};
  try {
    const ExitCode code = RunCommandLine({argv + 1, argv + argc}, environment);
    return static_cast<int>(code);
  } catch (const std::exception& error) {
    // Expected failures travel as values; what comes here is a defect or an exhausted machine.
    std::cerr << "error: " << error.what() << '\n';
    return static_cast<int>(ExitCode::kFailed);
  }
}
