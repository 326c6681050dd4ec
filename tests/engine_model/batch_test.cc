#include "worker/engine/generate/batch.h"

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/engine_model/byte_tokenizer.h"
#include "tests/engine_model/tiny_model.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/philox.h"
#include "worker/engine/generate/problem_queue.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

constexpr std::int64_t kVocab = 258;

// Logits that depend on every token of the history: letters, and end of text now and then.
void ScriptedLogits(const std::vector<std::int64_t>& history, float* logits) {
  std::string key;
  for (const std::int64_t id : history) {
    key += std::to_string(id) + ",";
  }
  const std::uint64_t hash = NameHash(key);
  std::fill(logits, logits + kVocab, -1e9F);
  for (std::int64_t i = 0; i < 6; ++i) {
    logits['a' + static_cast<std::int64_t>((hash >> (8 * i)) % 26)] = static_cast<float>(i);
  }
  logits[ByteTokenizer::kEos] = static_cast<float>(hash >> 60) - 9.0F;
}

struct Counts {
  std::atomic<int> decoders{0}, prefills{0}, steps{0}, widest{0}, failures{0};
};

// Keeps the tokens of each slot and refuses a position that does not fit them.
class ScriptedDecoder final : public Decoder {
 public:
  ScriptedDecoder(std::int64_t slots, Counts& counts, bool fails)
      : histories_(static_cast<std::size_t>(slots)), counts_(counts), fails_(fails) {}
  std::int64_t slots() const override { return static_cast<std::int64_t>(histories_.size()); }
  at::Tensor Prefill(const std::vector<std::int64_t>& ids) override {
    ++counts_.prefills;
    staged_ = ids;
    return Logits({staged_});
  }
  void Place(std::int64_t slot) override {
    histories_.at(static_cast<std::size_t>(slot)) = staged_;
  }
  void Move(std::int64_t from, std::int64_t to, std::int64_t length) override {
    std::vector<std::int64_t>& source = histories_.at(static_cast<std::size_t>(from));
    EXPECT_EQ(static_cast<std::int64_t>(source.size()), length);
    histories_.at(static_cast<std::size_t>(to)) = source;
  }
  at::Tensor Step(const std::vector<std::int64_t>& tokens,
                  const std::vector<std::int64_t>& positions) override {
    if (fails_) {
      throw EngineError(FailureClass::kOomHost, "no memory left");
    }
    ++counts_.steps;
    counts_.widest = std::max<int>(counts_.widest, static_cast<int>(tokens.size()));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      EXPECT_EQ(static_cast<std::int64_t>(histories_.at(i).size()), positions[i]);
      histories_[i].push_back(tokens[i]);
    }
    return Logits(
        {histories_.begin(), histories_.begin() + static_cast<std::ptrdiff_t>(tokens.size())});
  }

 private:
  static at::Tensor Logits(const std::vector<std::vector<std::int64_t>>& histories) {
    at::Tensor out = at::empty({static_cast<std::int64_t>(histories.size()), kVocab}, at::kFloat);
    for (std::size_t i = 0; i < histories.size(); ++i) {
      ScriptedLogits(histories[i], out.data_ptr<float>() + static_cast<std::int64_t>(i) * kVocab);
    }
    return out;
  }

  std::vector<std::vector<std::int64_t>> histories_;
  std::vector<std::int64_t> staged_;
  Counts& counts_;
  const bool fails_;
};

class ScriptedModel final : public DecoderModel {
 public:
  explicit ScriptedModel(bool fails = false) : fails_(fails) {}
  std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions& options) const override {
    ++counts.decoders;
    return std::make_unique<ScriptedDecoder>(options.slots, counts, fails_);
  }
  std::int64_t SlotBytes(std::int64_t) const override { return 1; }
  bool threads_decode_alone() const override { return true; }

  mutable Counts counts;

 private:
  const bool fails_;
};

// Draws tokens itself, one launch ahead of what is collected, and holds few prompts at once.
class ScriptedBatchDecoder final : public BatchDecoder {
 public:
  ScriptedBatchDecoder(const DecoderOptions& options,
                       const DrawOptions& draw,
                       Counts& counts,
                       bool fails,
                       const std::atomic<int>* awaited)
      : options_(options), draw_(draw), counts_(counts), fails_(fails), awaited_(awaited) {}
  std::int64_t sequences_max() const override { return options_.slots; }
  std::int64_t prompt_tokens_max() const override { return 12; }
  bool CanAdd(const std::vector<std::int64_t>& lengths) const override {
    return prompts_.size() + lengths.size() <= 3;
  }
  std::vector<std::int64_t> AddPrompts(
      const std::vector<const std::vector<std::int64_t>*>& prompts) override {
    std::vector<std::int64_t> numbers;
    std::size_t tokens = 0;
    for (const auto* ids : prompts) {
      ++counts_.prefills;
      tokens += ids->size();
      numbers.push_back(next_++);
      prompts_[numbers.back()] = *ids;
    }
    EXPECT_TRUE(tokens <= 12 || prompts.size() == 1);
    return numbers;
  }
  void DropPrompt(std::int64_t prompt) override { EXPECT_EQ(prompts_.erase(prompt), 1U); }
  std::int64_t room() const override { return 2; }
  bool CanStart(std::int64_t prompt) const override {
    EXPECT_EQ(prompts_.count(prompt), 1U);
    // As where the cache has room for fewer sequences than there are slots.
    return static_cast<std::int64_t>(live_.size()) < std::max<std::int64_t>(1, options_.slots - 1);
  }
  std::int64_t Start(std::int64_t prompt, const kernels::DrawKey& key) override {
    live_[next_] = {prompts_.at(prompt), key};
    return next_++;
  }
  void End(std::int64_t sequence) override { EXPECT_EQ(live_.erase(sequence), 1U); }
  // Now and then lets the youngest wait, and sometimes all, as where pages end.
  std::vector<std::int64_t> Launch(const std::vector<std::int64_t>& offered) override {
    if (fails_) {
      ++counts_.failures;
      throw EngineError(FailureClass::kOomHost, "no memory left");
    }
    while (awaited_ != nullptr && *awaited_ == 0) {
      std::this_thread::yield();
    }
    EXPECT_LT(launched_.size(), 2U);
    std::vector<std::int64_t> sequences = offered;
    ++launches_;
    if (launches_ % 7 == 0) {
      sequences.pop_back();
    } else if (launches_ % 11 == 0 && !launched_.empty()) {
      sequences.clear();
    }
    if (sequences.empty()) {
      if (launched_.empty()) {
        sequences = offered;
      } else {
        return {};
      }
    }
    ++counts_.steps;
    counts_.widest = std::max<int>(counts_.widest, static_cast<int>(sequences.size()));
    launched_.emplace_back();
    for (const std::int64_t number : sequences) {
      Live& live = live_.at(number);
      const std::int64_t first = live.key.position == 0 ? Draw(live) : -1;
      EXPECT_LE(static_cast<std::int64_t>(live.history.size()), options_.positions);
      launched_.back().push_back({number, first, Draw(live)});
    }
    return sequences;
  }
  std::vector<Chosen> Collect() override {
    std::vector<Chosen> chosen = launched_.at(0);
    launched_.erase(launched_.begin());
    return chosen;
  }

 private:
  struct Live {
    std::vector<std::int64_t> history;
    kernels::DrawKey key;
  };
  std::int64_t Draw(Live& live) const {
    std::vector<float> logits(kVocab);
    ScriptedLogits(live.history, logits.data());
    live.history.push_back(ChooseToken(logits.data(),
                                       kVocab,
                                       {draw_.temperature, draw_.top_p},
                                       kernels::CounterUniform(draw_.seed, live.key)));
    ++live.key.position;
    return live.history.back();
  }

  const DecoderOptions options_;
  const DrawOptions draw_;
  Counts& counts_;
  const bool fails_;
  const std::atomic<int>* const awaited_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, std::vector<std::int64_t>> prompts_;
  std::map<std::int64_t, Live> live_;
  std::vector<std::vector<Chosen>> launched_;
  std::int64_t launches_ = 0;
};

class ScriptedDeviceModel final : public DecoderModel {
 public:
  // `awaited`: its decoders' first steps wait until this is not 0.
  explicit ScriptedDeviceModel(bool fails = false, const std::atomic<int>* awaited = nullptr)
      : fails_(fails), awaited_(awaited) {}
  std::unique_ptr<Decoder> MakeDecoder(const DecoderOptions&) const override { return nullptr; }
  std::unique_ptr<BatchDecoder> MakeBatchDecoder(const DecoderOptions& options,
                                                 const DrawOptions& draw) const override {
    ++counts.decoders;
    return std::make_unique<ScriptedBatchDecoder>(options, draw, counts, fails_, awaited_);
  }
  std::int64_t SlotBytes(std::int64_t) const override { return 1; }
  bool threads_decode_alone() const override { return false; }

  mutable Counts counts;

 private:
  const bool fails_;
  const std::atomic<int>* const awaited_;
};

class BatchTest : public ::testing::Test {
 protected:
  BatchTest() {
    for (int i = 0; i < 11; ++i) {
      records_.push_back(
          {.name = std::string(1, 'P').append(std::to_string(i)),
           .language = benchmark::Language::kPython,
           .prompt = std::string(static_cast<std::size_t>(i % 4 + 1), 'q') + std::to_string(i),
           .tests = "",
           .stop_tokens = {"zz"},
           .canonical_solution = {}});
    }
    for (const benchmark::Record& record : records_) {
      problems_.push_back({&record, MakePrompt(tokenizer_, record.prompt, 60)});
    }
  }

  std::vector<std::vector<GeneratedSample>> Generate(const DecoderModel& model,
                                                     GenerationOptions options,
                                                     std::size_t replicas = 1) {
    finished_ = 0;
    const std::vector<Replica> all(replicas, Replica{model, at::kCPU});
    return GenerateAll(
        all, tokenizer_, {ByteTokenizer::kEos}, problems_, options, [&](std::int64_t n) {
          finished_ += n;
        });
  }
  // One sequence alone, without any of the machinery of batches.
  std::string Alone(const GenerationProblem& problem,
                    const GenerationOptions& options,
                    std::int64_t sample) const {
    std::vector<std::int64_t> history = problem.prompt.ids;
    std::string text;
    std::vector<float> logits(kVocab);
    while (static_cast<std::int64_t>(history.size()) < options.tokens_max &&
           text.find("zz") == std::string::npos) {
      ScriptedLogits(history, logits.data());
      history.push_back(ChooseToken(
          logits.data(),
          kVocab,
          options.sampling,
          UniformDraw(options.seed,
                      NameHash(problem.record->name),
                      static_cast<std::uint32_t>(sample),
                      static_cast<std::uint32_t>(history.size() - problem.prompt.ids.size()))));
      if (history.back() == ByteTokenizer::kEos) {
        break;
      }
      text += static_cast<char>(history.back());
    }
    return text.substr(0, text.find("zz"));
  }

  const ByteTokenizer tokenizer_;
  std::vector<benchmark::Record> records_;
  std::vector<GenerationProblem> problems_;
  std::int64_t finished_ = 0;
};

TEST_F(BatchTest, EveryBatchSizeAndThreadCountGivesWhatASequenceAloneGives) {
  GenerationOptions options = {.sampling = {1.5, 0.95}, .seed = 9, .samples = 5, .tokens_max = 60};
  for (const auto& [slots, threads] : std::vector<std::pair<std::int64_t, int>>{
           {1, 1}, {1, 4}, {3, 1}, {7, 3}, {64, 1}, {64, 2}, {500, 8}}) {
    options.slots = slots;
    options.threads = threads;
    const ScriptedModel model;
    const auto results = Generate(model, options);
    ASSERT_EQ(results.size(), problems_.size());
    for (std::size_t problem = 0; problem < problems_.size(); ++problem) {
      ASSERT_EQ(results[problem].size(), 5U);
      for (std::size_t sample = 0; sample < 5; ++sample) {
        EXPECT_EQ(results[problem][sample].text,
                  Alone(problems_[problem], options, static_cast<std::int64_t>(sample)))
            << slots << " slots, " << threads << " threads";
      }
    }
    EXPECT_EQ(finished_, 55);
    EXPECT_EQ(model.counts.prefills, 11) << "each prompt once for all its samples";
    EXPECT_EQ(model.counts.decoders, std::min<int>(threads, static_cast<int>(slots)));
    EXPECT_LE(model.counts.widest, (slots + threads - 1) / threads);
  }
}

TEST_F(BatchTest, AnotherSeedOrSampleDrawsAnotherText) {
  GenerationOptions options = {
      .sampling = {1.5, 1.0}, .seed = 1, .samples = 2, .tokens_max = 60, .slots = 8};
  const ScriptedModel model;
  const auto first = Generate(model, options);
  options.seed = 2;
  const auto second = Generate(model, options);
  int same_seed = 0;
  int same_sample = 0;
  for (std::size_t problem = 0; problem < problems_.size(); ++problem) {
    same_seed += first[problem][0].text == second[problem][0].text ? 1 : 0;
    same_sample += first[problem][0].text == first[problem][1].text ? 1 : 0;
  }
  EXPECT_LT(same_seed, 4);
  EXPECT_LT(same_sample, 4);
}

TEST_F(BatchTest, GreedySamplesAreGeneratedOnceAndCopied) {
  const GenerationOptions once = {
      .sampling = {0.0, 1.0}, .samples = 1, .tokens_max = 60, .slots = 4};
  GenerationOptions many = once;
  many.samples = 20;
  const ScriptedModel a;
  const ScriptedModel b;
  const auto single = Generate(a, once);
  const auto copied = Generate(b, many);
  EXPECT_EQ(finished_, 220);
  EXPECT_EQ(a.counts.steps, b.counts.steps);
  for (std::size_t problem = 0; problem < problems_.size(); ++problem) {
    ASSERT_EQ(copied[problem].size(), 20U);
    for (const GeneratedSample& sample : copied[problem]) {
      EXPECT_EQ(sample.text, single[problem][0].text);
      EXPECT_EQ(sample.tokens, single[problem][0].tokens);
    }
  }
}

TEST_F(BatchTest, SequencesEndForTheReasonTheyGive) {
  const GenerationOptions options = {
      .sampling = {1.5, 1.0}, .seed = 4, .samples = 20, .tokens_max = 30, .slots = 16};
  std::map<Finish, int> finished;
  for (const auto& samples : Generate(ScriptedModel(), options)) {
    for (const GeneratedSample& sample : samples) {
      ++finished[sample.finish];
      EXPECT_LE(sample.text.size(), static_cast<std::size_t>(sample.tokens));
    }
  }
  EXPECT_EQ(finished[Finish::kNone], 0);
  EXPECT_GT(finished[Finish::kEos], 0);
  EXPECT_GT(finished[Finish::kLength], 0);
  EXPECT_EQ(finished[Finish::kEos] + finished[Finish::kLength] + finished[Finish::kStop], 220);
}

TEST_F(BatchTest, ADecoderThatDrawsItselfGeneratesTheSameTexts) {
  // The last but one limit cuts some prompts one token short of it, and one is the limit itself.
  for (const std::int64_t tokens_max : {60, 7, 5}) {
    for (const double temperature : {0.0, 1.2}) {
      problems_.clear();
      for (const benchmark::Record& record : records_) {
        problems_.push_back({&record, MakePrompt(tokenizer_, record.prompt, tokens_max)});
      }
      for (const std::int64_t slots : {1, 7, 500}) {
        const GenerationOptions options = {.sampling = {temperature, 0.9},
                                           .seed = 3,
                                           .samples = 5,
                                           .tokens_max = tokens_max,
                                           .slots = slots,
                                           .threads = 2};
        const ScriptedModel host;
        const ScriptedDeviceModel device;
        const auto want = Generate(host, options);
        const auto got = Generate(device, options);
        EXPECT_EQ(finished_, 55);
        EXPECT_EQ(device.counts.prefills, 11);
        EXPECT_LE(device.counts.widest, slots);
        for (std::size_t problem = 0; problem < problems_.size(); ++problem) {
          for (std::size_t sample = 0; sample < 5; ++sample) {
            EXPECT_EQ(got[problem][sample].text, want[problem][sample].text);
            EXPECT_EQ(got[problem][sample].tokens, want[problem][sample].tokens);
            EXPECT_EQ(got[problem][sample].finish, want[problem][sample].finish);
          }
        }
      }
    }
  }
}

TEST_F(BatchTest, AFailureInAThreadReachesTheCaller) {
  const GenerationOptions options = {
      .sampling = {1.0, 1.0}, .samples = 3, .tokens_max = 60, .slots = 6, .threads = 3};
  try {
    Generate(ScriptedModel(/*fails=*/true), options);
    ADD_FAILURE() << "no exception";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kOomHost);
  }
}

// The models here count for all replicas together.
TEST_F(BatchTest, AnyNumberOfReplicasGivesTheSameSamples) {
  GenerationOptions options = {
      .sampling = {1.5, 0.95}, .seed = 9, .samples = 5, .tokens_max = 60, .slots = 7, .threads = 6};
  const ScriptedModel one;
  const auto want = Generate(one, options);
  for (const std::size_t replicas : {1, 2, 3, 12}) {
    const ScriptedModel host;
    const ScriptedDeviceModel device;
    for (const auto& got :
         {Generate(host, options, replicas), Generate(device, options, replicas)}) {
      EXPECT_EQ(finished_, 55) << replicas << " replicas";
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t problem = 0; problem < want.size(); ++problem) {
        for (std::size_t sample = 0; sample < 5; ++sample) {
          EXPECT_EQ(got[problem][sample].text, want[problem][sample].text)
              << replicas << " replicas, " << records_[problem].name << ", sample " << sample;
          EXPECT_EQ(got[problem][sample].tokens, want[problem][sample].tokens);
        }
      }
    }
    EXPECT_EQ(device.counts.decoders, static_cast<int>(replicas));
    EXPECT_EQ(device.counts.prefills, 11) << "each prompt in one replica only";
    EXPECT_EQ(host.counts.prefills, 11);
  }
}

// One replica's first step fails while the other waits for that, which then ends too.
TEST_F(BatchTest, AFailureInAReplicaReachesTheCaller) {
  const ScriptedDeviceModel broken(/*fails=*/true);
  const ScriptedDeviceModel sound(/*fails=*/false, &broken.counts.failures);
  const GenerationOptions options = {
      .sampling = {1.5, 0.95}, .samples = 5, .tokens_max = 60, .slots = 7};
  const std::vector<Replica> replicas = {{sound, at::kCPU}, {broken, at::kCPU}};
  try {
    GenerateAll(replicas, tokenizer_, {ByteTokenizer::kEos}, problems_, options, [](auto) {});
    FAIL() << "no failure was thrown";
  } catch (const EngineError& error) {
    EXPECT_EQ(error.failure(), FailureClass::kOomHost);
  }
}

// The real decoder of a GPU by its reference ops: replicas with pages of their own, and one whose
// layers are divided.
TEST_F(BatchTest, ReplicasOfAPagedModelGiveTheSameBits) {
  const TinyModel tiny({.hidden = 48,
                        .layers = 2,
                        .heads = 4,
                        .kv_heads = 2,
                        .head_dim = 32,
                        .vocab = kVocab,
                        .positions = 96});
  const auto llama = LlamaModel::Load(*tiny.Open(), at::kBFloat16, at::kCPU);
  const auto model = MakePagedDecoderModel(llama, at::kCPU);
  const auto copy = MakePagedDecoderModel(CopyTo(*llama, {at::kCPU, at::kCPU}), at::kCPU);
  const auto divided = MakePagedDecoderModel(llama, EvenStretches(2, 2));
  const GenerationOptions options = {.sampling = {0.9, 0.95},
                                     .seed = 3,
                                     .samples = 3,
                                     .tokens_max = 20,
                                     .slots = 9,
                                     .batch_invariant = true};
  const auto want = Generate(*model, options);
  const std::vector<std::vector<Replica>> placements = {
      {{*model, at::kCPU}, {*copy, at::kCPU}},
      {{*model, at::kCPU}, {*model, at::kCPU}, {*copy, at::kCPU}},
      {{*divided, at::kCPU, 2}},
      {{*divided, at::kCPU, 1}, {*divided, at::kCPU, 2}}};
  for (const std::vector<Replica>& replicas : placements) {
    finished_ = 0;
    const auto got = GenerateAll(
        replicas, tokenizer_, {ByteTokenizer::kEos}, problems_, options, [&](std::int64_t n) {
          finished_ += n;
        });
    EXPECT_EQ(finished_, 33);
    for (std::size_t problem = 0; problem < want.size(); ++problem) {
      for (std::size_t sample = 0; sample < 3; ++sample) {
        EXPECT_EQ(got[problem][sample].text, want[problem][sample].text)
            << "placement " << &replicas - placements.data();
        EXPECT_EQ(got[problem][sample].tokens, want[problem][sample].tokens);
      }
    }
  }
}

TEST(ProblemQueueTest, EachLoopHasItsShareHoweverEarlyTheOtherAsks) {
  ProblemQueue queue(/*problems=*/9, /*loops=*/2, /*samples=*/4);
  const auto all = [](std::size_t) { return true; };
  // Loop 0 may go on only as far as what waits for loop 1 (4 problems: 16 sequences) allows.
  EXPECT_EQ(queue.Take(0, 0, all), (std::vector<std::size_t>{0, 2, 4, 6, 8}));
  EXPECT_EQ(queue.Take(0, 20, all), std::vector<std::size_t>{});
  // With two problems live it would have 12 of the 16 after one more, with three 16 of 12.
  EXPECT_EQ(queue.Take(0, 8, all), (std::vector<std::size_t>{1}));
  // What does not fit stays, and is asked about once.
  int asked = 0;
  EXPECT_EQ(queue.Take(1,
                       0,
                       [&](std::size_t problem) {
                         ++asked;
                         return problem != 5;
                       }),
            (std::vector<std::size_t>{3}));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(queue.waiting(), 2U);
  EXPECT_EQ(queue.Take(1, 4, [](std::size_t problem) { return problem == 5; }),
            (std::vector<std::size_t>{5}));
  // The last one is left to its owner, unless the other has nothing live.
  EXPECT_EQ(queue.Take(0, 1, all), std::vector<std::size_t>{});
  EXPECT_EQ(queue.Take(0, 0, all), (std::vector<std::size_t>{7}));
  EXPECT_EQ(queue.waiting(), 0U);
}

TEST(ProblemQueueTest, AStoppedQueueGivesNothing) {
  ProblemQueue queue(2, 1, 1);
  queue.Stop();
  EXPECT_EQ(queue.Take(0, 0, [](std::size_t) { return true; }), std::vector<std::size_t>{});
  EXPECT_TRUE(queue.stopped());
  EXPECT_EQ(queue.waiting(), 2U);
}

}  // namespace
}  // namespace bitsweep::engine
