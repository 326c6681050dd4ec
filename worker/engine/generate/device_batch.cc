#include "worker/engine/generate/device_batch.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "worker/engine/device_list.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/philox.h"
#include "worker/kernels/parallel.h"

namespace bitsweep::engine {
namespace {

// The text of fewer sequences is quicker to make than to divide.
constexpr std::int64_t kSequencesForThreads = 32;

struct LiveSequence {
  std::size_t problem;
  std::int64_t sample;
  std::int64_t tokens;    // Prompt and those drawn or being drawn.
  bool launched = false;  // Its first token is drawn by its first step.
};

class LoopState {
 public:
  explicit LoopState(DeviceLoop& loop) : loop_(loop) {}

  void Run() {
    std::int64_t in_flight = 0;
    while (!loop_.queue->stopped()) {
      Admit();
      const bool launched = Launch();
      in_flight += launched ? 1 : 0;
      // One step stays in flight while there is a next one to queue behind it.
      if (in_flight == 0) {
        CheckFinished();
        return;
      }
      if (in_flight == 2 || !launched || Unfinished() == 0) {
        Read();
        --in_flight;
      }
    }
  }

 private:
  struct Staged {
    std::size_t problem;
    std::int64_t prompt;
    std::int64_t next_sample;
  };

  void CheckFinished() const {
    // With nothing live, any problem that waits anywhere would have been taken.
    const bool waiting = loop_.queue->waiting() > 0 && !loop_.queue->stopped();
    if (waiting || !staged_.empty() || !live_.empty()) {
      throw EngineError(FailureClass::kBug, "generation stopped before the last sequence");
    }
  }

  // Sequences that have a token left to draw.
  std::int64_t Unfinished() const {
    return std::count_if(live_.begin(), live_.end(), [&](const auto& entry) {
      return entry.second.tokens < loop_.tokens_max;
    });
  }

  void Admit() {
    while (static_cast<std::int64_t>(live_.size()) < loop_.decoder.sequences_max()) {
      if (staged_.empty() && !Stage()) {
        return;
      }
      Staged& from = staged_.front();
      if (!loop_.decoder.CanStart(from.prompt)) {
        return;
      }
      const std::int64_t sequence =
          loop_.decoder.Start(from.prompt, loop_.key(from.problem, from.next_sample));
      const auto length = static_cast<std::int64_t>(loop_.prompts[from.problem]->size());
      live_.emplace(sequence, LiveSequence{from.problem, from.next_sample, length + 1});
      if (++from.next_sample == loop_.samples) {
        loop_.decoder.DropPrompt(from.prompt);
        staged_.erase(staged_.begin());
      }
    }
  }

  // Computes as many prompts as the free places can use, within what one call takes well.
  bool Stage() {
    std::vector<std::int64_t> lengths;
    std::int64_t tokens = 0;
    const auto live = static_cast<std::int64_t>(live_.size());
    // One prompt may be tried whatever the estimate says.
    std::int64_t places = std::min(loop_.decoder.sequences_max() - live,
                                   std::max<std::int64_t>(1, loop_.decoder.room()));
    const auto fits = [&](std::size_t problem) {
      if (places <= 0) {
        return false;
      }
      lengths.push_back(static_cast<std::int64_t>(loop_.prompts[problem]->size()));
      tokens += lengths.back();
      places -= loop_.samples;
      return (lengths.size() == 1 || tokens <= loop_.decoder.prompt_tokens_max()) &&
             loop_.decoder.CanAdd(lengths);
    };
    const std::vector<std::size_t> problems = loop_.queue->Take(loop_.number, live, fits);
    if (problems.empty()) {
      return false;
    }
    std::vector<const std::vector<std::int64_t>*> ids;
    for (const std::size_t problem : problems) {
      ids.push_back(loop_.prompts[problem]);
    }
    const std::vector<std::int64_t> prompts = loop_.decoder.AddPrompts(ids);
    for (std::size_t i = 0; i < problems.size(); ++i) {
      staged_.push_back({problems[i], prompts[i], 0});
    }
    return true;
  }

  // Sequences that have a token left to draw are offered; the decoder may let some wait.
  bool Launch() {
    std::vector<std::int64_t> sequences;
    for (const auto& [number, live] : live_) {
      // A prompt one short of the limit still needs the step that draws its first token.
      if (!live.launched || live.tokens < loop_.tokens_max) {
        sequences.push_back(number);
      }
    }
    if (sequences.empty()) {
      return false;
    }
    const std::vector<std::int64_t> stepped = loop_.decoder.Launch(sequences);
    for (const std::int64_t number : stepped) {
      LiveSequence& live = live_.at(number);
      live.launched = true;
      ++live.tokens;
    }
    return !stepped.empty();
  }

  void Read() {
    std::vector<DeviceLoop::Token> tokens;
    std::vector<std::int64_t> numbers;
    for (const BatchDecoder::Chosen& chosen : loop_.decoder.Collect()) {
      const auto live = live_.find(chosen.sequence);
      if (live == live_.end()) {
        continue;  // Ended by the step before.
      }
      for (const std::int64_t id : {chosen.first, chosen.next}) {
        if (id >= 0) {
          tokens.push_back({live->second.problem, live->second.sample, id, false});
          numbers.push_back(chosen.sequence);
        }
      }
    }
    loop_.accept(tokens);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].ends && live_.erase(numbers[i]) > 0) {
        loop_.decoder.End(numbers[i]);
      }
    }
  }

  DeviceLoop& loop_;
  std::map<std::int64_t, LiveSequence> live_;  // By number, so that samples of a prompt are near.
  std::vector<Staged> staged_;
};

// What all loops share. A row of results is written by one of them only.
struct Job {
  const Tokenizer& tokenizer;
  const std::vector<std::int64_t>& eos_ids;
  const std::vector<GenerationProblem>& problems;
  const GenerationOptions& options;
  int threads;                                    // For the texts of one loop.
  std::function<void(std::int64_t)> on_finished;  // Any thread, any time.
  std::vector<std::vector<GeneratedSample>> results;

  // Greedy samples are all the same: one is generated.
  bool greedy() const { return options.sampling.temperature == 0.0; }
};

// The texts of one loop's samples while they grow.
class Texts {
 public:
  explicit Texts(Job& job) : job_(job) {}

  void Accept(std::vector<DeviceLoop::Token>& tokens) {
    std::vector<std::size_t> begins;  // Of the sequences' tokens.
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i == 0 || KeyOf(tokens[i]) != KeyOf(tokens[i - 1])) {
        begins.push_back(i);
        Begin(tokens[i]);
      }
    }
    const auto sequences = static_cast<std::int64_t>(begins.size());
    begins.push_back(tokens.size());
    const int threads = sequences < kSequencesForThreads ? 1 : job_.threads;
    std::vector<std::exception_ptr> failures(begins.size());
    kernels::ParallelFor(sequences, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        try {
          Append(tokens, begins[i], begins[i + 1]);
        } catch (...) {
          failures[i] = std::current_exception();
        }
      }
    });
    for (const std::exception_ptr& failure : failures) {
      if (failure != nullptr) {
        std::rethrow_exception(failure);
      }
    }
    for (const DeviceLoop::Token& token : tokens) {
      if (token.ends) {
        Record(token);
      }
    }
  }

 private:
  using Key = std::pair<std::size_t, std::int64_t>;
  struct Growing {
    Completion completion;
    Finish finish = Finish::kNone;
  };

  static Key KeyOf(const DeviceLoop::Token& token) { return {token.problem, token.sample}; }

  void Begin(const DeviceLoop::Token& token) {
    std::unique_ptr<Growing>& growing = growing_[KeyOf(token)];
    if (growing == nullptr) {
      const GenerationProblem& problem = job_.problems[token.problem];
      growing = std::make_unique<Growing>(Growing{Completion({job_.tokenizer,
                                                              *problem.record,
                                                              job_.eos_ids,
                                                              job_.options.tokens_max,
                                                              job_.options.early_stop},
                                                             problem.prompt)});
    }
  }

  // One sequence's tokens of a step, which are neighbours in `tokens`.
  void Append(std::vector<DeviceLoop::Token>& tokens, std::size_t begin, std::size_t end) const {
    Growing& growing = *growing_.at(KeyOf(tokens[begin]));
    for (std::size_t i = begin; i < end && growing.finish == Finish::kNone; ++i) {
      growing.finish = growing.completion.Append(tokens[i].id);
      tokens[i].ends = growing.finish != Finish::kNone;
    }
  }

  void Record(const DeviceLoop::Token& token) {
    const auto node = growing_.extract(KeyOf(token));
    const Growing& grown = *node.mapped();
    const GeneratedSample sample = {
        grown.completion.Text(), grown.completion.tokens(), grown.finish};
    std::vector<GeneratedSample>& row = job_.results[token.problem];
    if (job_.greedy()) {
      std::fill(row.begin(), row.end(), sample);
    } else {
      row[static_cast<std::size_t>(token.sample)] = sample;
    }
    job_.on_finished(job_.greedy() ? job_.options.samples : 1);
  }

  Job& job_;
  std::map<Key, std::unique_ptr<Growing>> growing_;
};

void RunLoop(Job& job, BatchDecoder& decoder, ProblemQueue& queue, std::size_t number) {
  Texts texts(job);
  const auto key = [&](std::size_t problem, std::int64_t sample) {
    const std::uint64_t name = NameHash(job.problems[problem].record->name);
    return kernels::DrawKey{static_cast<std::uint32_t>(name),
                            static_cast<std::uint32_t>(name >> 32),
                            static_cast<std::uint32_t>(sample),
                            0};
  };
  DeviceLoop loop = {
      .decoder = decoder,
      .prompts = {},
      .samples = job.greedy() ? 1 : job.options.samples,
      .tokens_max = job.options.tokens_max,
      .key = key,
      .accept = [&](std::vector<DeviceLoop::Token>& tokens) { texts.Accept(tokens); },
      .queue = &queue,
      .number = number};
  for (const GenerationProblem& problem : job.problems) {
    loop.prompts.push_back(&problem.prompt.ids);
  }
  try {
    loop.Run();
  } catch (...) {
    queue.Stop();
    throw;
  }
}

}  // namespace

void DeviceLoop::Run() {
  if (queue != nullptr) {
    LoopState(*this).Run();
    return;
  }
  ProblemQueue own(prompts.size(), 1, samples);
  DeviceLoop alone = *this;
  alone.queue = &own;
  alone.number = 0;
  LoopState(alone).Run();
}

std::vector<std::vector<GeneratedSample>> GenerateOnDevices(
    const std::vector<DeviceDecoder>& decoders,
    const Tokenizer& tokenizer,
    const std::vector<std::int64_t>& eos_ids,
    const std::vector<GenerationProblem>& problems,
    const GenerationOptions& options,
    const std::function<void(std::int64_t)>& on_finished) {
  const auto loops = static_cast<int>(decoders.size());
  std::mutex finished;
  Job job = {.tokenizer = tokenizer,
             .eos_ids = eos_ids,
             .problems = problems,
             .options = options,
             .threads = std::max(1, options.threads / loops),
             .on_finished =
                 [&](std::int64_t count) {
                   const std::lock_guard lock(finished);
                   on_finished(count);
                 },
             .results = std::vector<std::vector<GeneratedSample>>(
                 problems.size(),
                 std::vector<GeneratedSample>(static_cast<std::size_t>(options.samples)))};
  ProblemQueue queue(problems.size(), decoders.size(), job.greedy() ? 1 : options.samples);
  std::vector<at::Device> devices;
  for (const DeviceDecoder& decoder : decoders) {
    devices.push_back(decoder.device);
  }
  RunOnDevices(devices,
               [&](std::size_t number) { RunLoop(job, *decoders[number].decoder, queue, number); });
  return std::move(job.results);
}

}  // namespace bitsweep::engine
