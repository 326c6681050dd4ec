#include "worker/engine/generate/step_meter.h"

#include <cstddef>
#include <set>
#include <string>

#include "worker/engine/model/coded_linear.h"

namespace bitsweep::engine {
namespace {

// Bytes of the weights that a step multiplies by (codes where the config has them), and of one
// cached token.
std::pair<double, double> StepBytes(const ModelConfig& config) {
  double weights = static_cast<double>(config.vocab_size * config.hidden_size) * 2.0;
  for (const std::string& name : ModelConfig::LinearNames()) {
    const auto [rows, columns] = config.LinearShape(name);
    const std::int64_t bytes =
        config.aqlm ? CodedBytes(CodebookShapeOf(*config.aqlm, columns), rows) : 2 * rows * columns;
    weights += static_cast<double>(config.num_layers * bytes);
  }
  return {weights,
          4.0 * static_cast<double>(config.num_layers * config.num_kv_heads * config.head_dim)};
}

}  // namespace

StepMeter::StepMeter(const ModelConfig& config,
                     const std::vector<std::vector<std::int64_t>>& prompts,
                     const std::vector<std::vector<std::int64_t>>& lengths,
                     Completions& completions)
    : bytes_(StepBytes(config)), prompts_(prompts), lengths_(lengths), completions_(completions) {}

void StepMeter::Accept(std::vector<DeviceLoop::Token>& tokens) {
  double cached = 0.0;
  double distinct = 0.0;
  std::int64_t live = 0;
  std::set<std::size_t> seen;
  for (DeviceLoop::Token& token : tokens) {
    const auto sample = static_cast<std::size_t>(token.sample);
    auto& completion = completions_[token.problem][sample];
    const std::int64_t length = lengths_[token.problem][sample];
    if (static_cast<std::int64_t>(completion.size()) >= length) {
      continue;
    }
    completion.push_back(token.id);
    ++measured_.tokens;
    token.ends = static_cast<std::int64_t>(completion.size()) == length;
    const auto own = static_cast<double>(completion.size());
    const auto prompt = static_cast<double>(prompts_[token.problem].size());
    cached += completion.size() > 1 ? prompt + own : 0.0;
    distinct += completion.size() > 1 ? own : 0.0;
    distinct += completion.size() > 1 && seen.insert(token.problem).second ? prompt : 0.0;
    live += completion.size() > 1 ? 1 : 0;
  }
  const auto now = std::chrono::steady_clock::now();
  measured_.steps.push_back(std::chrono::duration<double>(now - last_).count());
  measured_.bytes.push_back(bytes_.first + cached * bytes_.second);
  measured_.shared.push_back(bytes_.first + distinct * bytes_.second);
  measured_.live.push_back(live);
  last_ = now;
}

}  // namespace bitsweep::engine
