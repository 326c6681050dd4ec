// The whole tool as a function: reads a command line, runs the verb, reports failures, returns the
// exit code. Runs on: the main thread.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace bitsweep::cli {

/// `arguments` without the program's name.
ExitCode RunCommandLine(const std::vector<std::string>& arguments, Environment& environment);

}  // namespace bitsweep::cli
