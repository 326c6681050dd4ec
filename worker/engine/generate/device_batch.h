// Continuous batching with a decoder that draws tokens itself (model/decoder.h, BatchDecoder). The
// device is one step ahead: while it runs a step, the host reads the tokens of the one before, so
// a sequence that ends has been stepped once too often, and that token is dropped. Several
// decoders, a GPU each, share a queue of problems and nothing else. Thread rule: one thread calls;
// each decoder of several has a thread of its own, and helpers read tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <c10/core/Device.h>

#include "worker/engine/generate/batch.h"
#include "worker/engine/generate/problem_queue.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {

/// A decoder and the device that is current while it works.
struct DeviceDecoder {
  std::unique_ptr<BatchDecoder> decoder;
  at::Device device;
};

/// As GenerateAll, by decoders whose options are those of `options`.
std::vector<std::vector<GeneratedSample>> GenerateOnDevices(
    const std::vector<DeviceDecoder>& decoders,
    const Tokenizer& tokenizer,
    const std::vector<std::int64_t>& eos_ids,
    const std::vector<GenerationProblem>& problems,
    const GenerationOptions& options,
    const std::function<void(std::int64_t)>& on_finished);

/// The order of admissions, apart from text, so that the bench measures the loop that generates.
/// `samples` sequences of each prompt that the queue gives are started in order; `accept` hears
/// every token.
struct DeviceLoop {
  BatchDecoder& decoder;
  /// Outlives the loop; one entry a problem.
  std::vector<const std::vector<std::int64_t>*> prompts;
  std::int64_t samples = 1;
  std::int64_t tokens_max = 2;  // Prompt and completion, as the decoder's positions.
  std::function<kernels::DrawKey(std::size_t problem, std::int64_t sample)> key;

  struct Token {
    std::size_t problem;
    std::int64_t sample;
    std::int64_t id;
    bool ends;  // Set by `accept`.
  };
  /// One step's tokens; several of one sequence (its first two) are neighbours, in order. Sets
  /// `ends` on the token that ends its sequence; later ones of that sequence do not count.
  std::function<void(std::vector<Token>& tokens)> accept;
  /// Null: this loop has all prompts for itself. Else shared, and this loop is its number `number`.
  ProblemQueue* queue = nullptr;
  std::size_t number = 0;
  /// Returns early where the queue was stopped.
  void Run();
};

}  // namespace bitsweep::engine
