// What a verb runs in: where it writes, what the terminal shows, the global options, the clock.
// Tests supply their own. Runs on: the main thread.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "cli/exit_code.h"
#include "cli/render/styled.h"
#include "cli/render/terminal.h"

namespace google::protobuf {
class Message;
}

namespace bitsweep::cli {

class Client;

/// The process around the tool.
struct Environment {
  std::ostream& out;
  std::ostream& err;
  Terminal out_terminal;
  Terminal err_terminal;
  ReadVariable variable;
  std::function<absl::Time()> now;
  // Looked at again before each redraw, because windows are resized. Null: `out_terminal` stays.
  std::function<Terminal()> look_again;
};

struct GlobalOptions {
  std::string server;
  bool json = false;
};

class Context {
 public:
  Context(Environment& environment, GlobalOptions options);
  ~Context();

  Environment& environment() { return environment_; }
  const GlobalOptions& options() const { return options_; }
  bool json() const { return options_.json; }
  const Terminal& terminal() const { return environment_.out_terminal; }
  absl::Time Now() const { return environment_.now(); }

  /// Writes one line for people. Lines are not cut: what has to fit was made to fit.
  void Print(const Line& line);
  void Print(const std::vector<Line>& lines);
  /// Writes text as it is, with a line feed at its end.
  void PrintRaw(std::string_view text);
  /// Writes one JSON document, indented.
  void PrintJson(const nlohmann::ordered_json& json);
  /// A remark on standard error, e.g. what goes on while nothing is to be seen yet.
  void Remark(const Line& line);

  /// The coordinator's client, made at first use. INVALID_ARGUMENT: a malformed --server.
  absl::StatusOr<Client*> client();

 private:
  Environment& environment_;
  GlobalOptions options_;
  std::unique_ptr<Client> client_;
};

/// What the command line asks for, once it is parsed.
using VerbRun = std::function<absl::StatusOr<ExitCode>(Context&)>;

}  // namespace bitsweep::cli
