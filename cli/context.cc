#include "cli/context.h"

#include "cli/client.h"

namespace bitsweep::cli {

Context::Context(Environment& environment, GlobalOptions options)
    : environment_(environment), options_(std::move(options)) {}

Context::~Context() = default;

void Context::Print(const Line& line) {
  environment_.out << line.Render(terminal()) << '\n';
}

void Context::Print(const std::vector<Line>& lines) {
  for (const Line& line : lines) {
    Print(line);
  }
}

void Context::PrintRaw(std::string_view text) {
  environment_.out << text;
  if (text.empty() || text.back() != '\n') {
    environment_.out << '\n';
  }
}

void Context::PrintJson(const nlohmann::ordered_json& json) {
  environment_.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

void Context::Remark(const Line& line) {
  environment_.err << line.Render(environment_.err_terminal) << '\n' << std::flush;
}

absl::StatusOr<Client*> Context::client() {
  if (client_ == nullptr) {
    auto made = Client::Make(options_.server);
    if (!made.ok()) {
      return made.status();
    }
    client_ = *std::move(made);
  }
  return client_.get();
}

}  // namespace bitsweep::cli
