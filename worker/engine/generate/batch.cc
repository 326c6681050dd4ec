#include "worker/engine/generate/batch.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "worker/engine/device_list.h"
#include "worker/engine/generate/device_batch.h"
#include "worker/engine/generate/philox.h"

namespace bitsweep::engine {
namespace {

// What the threads share. Results are written by index, each by one thread only.
struct Work {
  const Tokenizer& tokenizer;
  const std::vector<std::int64_t>& eos_ids;
  const std::vector<GenerationProblem>& problems;
  const GenerationOptions& options;
  const std::function<void(std::int64_t)>& on_finished;

  std::vector<std::vector<GeneratedSample>> results{};
  std::atomic<std::size_t> next_problem{0};
  std::atomic<bool> stop{false};  // A thread has failed: the others need not go on.
  std::mutex mutex{};
  std::exception_ptr failure{};  // The first; under mutex.

  // Samples that are really generated of each problem: greedy ones are all the same.
  std::int64_t distinct_samples() const {
    return options.sampling.temperature == 0.0 ? 1 : options.samples;
  }
};

struct Live {
  std::size_t problem;
  std::int64_t sample;
  Completion completion;
  std::int64_t last_token;
  std::int64_t position;  // Of last_token.
};

// One thread's share: a decoder whose slots 0..live-1 hold the live sequences.
class BatchLoop {
 public:
  BatchLoop(Work& work, Decoder& decoder) : work_(work), decoder_(decoder) {}

  void Run() {
    while (!work_.stop) {
      Admit();
      if (live_.empty()) {
        return;
      }
      Advance();
    }
  }

 private:
  // Fills the free slots; a sequence whose first token ends it never takes one.
  void Admit() {
    while (static_cast<std::int64_t>(live_.size()) < decoder_.slots()) {
      if (staged_sample_ == work_.distinct_samples() && !StageNextProblem()) {
        return;
      }
      const std::int64_t sample = staged_sample_++;
      const GenerationProblem& problem = work_.problems[staged_problem_];
      const std::int64_t id = ChooseTokens(
          staged_logits_, work_.options.sampling, {Draw(staged_problem_, sample, 0)})[0];
      auto live =
          std::make_unique<Live>(Live{staged_problem_,
                                      sample,
                                      Completion({work_.tokenizer,
                                                  *problem.record,
                                                  work_.eos_ids,
                                                  work_.options.tokens_max,
                                                  work_.options.early_stop},
                                                 problem.prompt),
                                      id,
                                      static_cast<std::int64_t>(problem.prompt.ids.size())});
      const Finish finish = live->completion.Append(id);
      if (finish != Finish::kNone) {
        Record(*live, finish);
        continue;
      }
      decoder_.Place(static_cast<std::int64_t>(live_.size()));
      live_.push_back(std::move(live));
    }
  }

  bool StageNextProblem() {
    const std::size_t problem = work_.next_problem++;
    if (problem >= work_.problems.size()) {
      return false;
    }
    staged_problem_ = problem;
    staged_sample_ = 0;
    // Steps may run before the last sample is admitted: keep the logits.
    staged_logits_ = decoder_.Prefill(work_.problems[problem].prompt.ids).clone();
    return true;
  }

  // One token for every live sequence.
  void Advance() {
    std::vector<std::int64_t> tokens;
    std::vector<std::int64_t> positions;
    std::vector<double> draws;
    for (const auto& live : live_) {
      tokens.push_back(live->last_token);
      positions.push_back(live->position);
      draws.push_back(Draw(live->problem, live->sample, live->completion.tokens()));
    }
    const std::vector<std::int64_t> chosen =
        ChooseTokens(decoder_.Step(tokens, positions), work_.options.sampling, draws);
    // From the back, so that the sequence moved into a hole has already taken its token.
    for (std::size_t i = live_.size(); i-- > 0;) {
      Live& live = *live_[i];
      const Finish finish = live.completion.Append(chosen[i]);
      live.last_token = chosen[i];
      ++live.position;
      if (finish == Finish::kNone) {
        continue;
      }
      Record(live, finish);
      if (i + 1 < live_.size()) {
        decoder_.Move(static_cast<std::int64_t>(live_.size()) - 1,
                      static_cast<std::int64_t>(i),
                      live_.back()->position);
        live_[i] = std::move(live_.back());
      }
      live_.pop_back();
    }
  }

  double Draw(std::size_t problem, std::int64_t sample, std::int64_t position) const {
    return UniformDraw(work_.options.seed,
                       NameHash(work_.problems[problem].record->name),
                       static_cast<std::uint32_t>(sample),
                       static_cast<std::uint32_t>(position));
  }

  void Record(const Live& live, Finish finish) {
    const GeneratedSample result = {live.completion.Text(), live.completion.tokens(), finish};
    std::vector<GeneratedSample>& row = work_.results[live.problem];
    const bool copied = work_.distinct_samples() < work_.options.samples;
    if (copied) {
      std::fill(row.begin(), row.end(), result);
    } else {
      row[static_cast<std::size_t>(live.sample)] = result;
    }
    const std::lock_guard lock(work_.mutex);
    work_.on_finished(copied ? work_.options.samples : 1);
  }

  Work& work_;
  Decoder& decoder_;
  std::vector<std::unique_ptr<Live>> live_;  // By slot.
  // The problem whose samples are being admitted.
  std::size_t staged_problem_ = 0;
  std::int64_t staged_sample_ = work_.distinct_samples();
  at::Tensor staged_logits_;  // [1, V]
};

void RunThread(Work& work, const DecoderModel& model, const DecoderOptions& options) {
  try {
    const std::unique_ptr<Decoder> decoder = model.MakeDecoder(options);
    BatchLoop(work, *decoder).Run();
  } catch (...) {
    const std::lock_guard lock(work.mutex);
    if (work.failure == nullptr) {
      work.failure = std::current_exception();
    }
    work.stop = true;
  }
}

// None where the model has none that draws tokens itself. All are made before any works: what is
// free on a device is asked of the whole process.
std::vector<DeviceDecoder> MakeDeviceDecoders(const std::vector<Replica>& replicas,
                                              const DecoderOptions& whole,
                                              const DrawOptions& draw) {
  std::vector<DeviceDecoder> decoders;
  for (const Replica& replica : replicas) {
    const c10::DeviceGuard guard(replica.device);
    DecoderOptions options = whole;
    options.slots = (whole.slots + replica.decoders - 1) / replica.decoders;
    for (int left = replica.decoders; left > 0; --left) {
      options.memory_divisor = left;
      std::unique_ptr<BatchDecoder> decoder = replica.model.MakeBatchDecoder(options, draw);
      if (decoder == nullptr) {
        return {};
      }
      decoders.push_back({std::move(decoder), replica.device});
    }
  }
  return decoders;
}

// Decoders that give logits: each of a replica's threads has one.
void RunReplica(Work& work, const DecoderModel& model, int threads, const DecoderOptions& whole) {
  const std::int64_t count =
      model.threads_decode_alone() ? std::min<std::int64_t>(threads, whole.slots) : 1;
  DecoderOptions options = whole;
  options.slots = (whole.slots + count - 1) / count;
  std::vector<std::thread> others;
  for (std::int64_t i = 1; i < count; ++i) {
    others.emplace_back([&] { RunThread(work, model, options); });
  }
  RunThread(work, model, options);
  for (std::thread& thread : others) {
    thread.join();
  }
}

}  // namespace

std::vector<std::vector<GeneratedSample>> GenerateAll(
    const std::vector<Replica>& replicas,
    const Tokenizer& tokenizer,
    const std::vector<std::int64_t>& eos_ids,
    const std::vector<GenerationProblem>& problems,
    const GenerationOptions& options,
    const std::function<void(std::int64_t)>& on_finished) {
  Work work{tokenizer, eos_ids, problems, options, on_finished};
  work.results.assign(problems.size(),
                      std::vector<GeneratedSample>(static_cast<std::size_t>(options.samples)));
  // What one replica can have to do, where the problems are divided evenly.
  const std::int64_t sequences =
      static_cast<std::int64_t>((problems.size() + replicas.size() - 1) / replicas.size()) *
      work.distinct_samples();
  const DecoderOptions decoder = {
      .slots = std::max<std::int64_t>(1, std::min(options.slots, sequences)),
      .positions = options.tokens_max,
      .batch_invariant = options.batch_invariant};
  const std::vector<DeviceDecoder> device =
      MakeDeviceDecoders(replicas,
                         decoder,
                         {.temperature = options.sampling.temperature,
                          .top_p = options.sampling.top_p,
                          .seed = options.seed});
  if (!device.empty()) {
    return GenerateOnDevices(device, tokenizer, eos_ids, problems, options, on_finished);
  }
  std::vector<at::Device> devices;
  for (const Replica& replica : replicas) {
    devices.push_back(replica.device);
  }
  const int threads = std::max(1, options.threads / static_cast<int>(replicas.size()));
  RunOnDevices(devices, [&](std::size_t number) {
    RunReplica(work, replicas[number].model, threads, decoder);
  });
  if (work.failure != nullptr) {
    std::rethrow_exception(work.failure);
  }
  return work.results;
}

}  // namespace bitsweep::engine
