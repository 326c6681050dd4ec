// Sweep files that several tests of the study room start from.
#pragma once

#include <string>

namespace bitsweep {

/// A small valid sweep; line numbers in tests refer to it.
inline constexpr const char* kSmallSweep = R"(name: small
models:
  - {id: sparrow-1m, family: Sparrow, params: 1.3M, path: sparrow-1m}
  - {id: finch-4m, family: Finch, params: 4.6M}
precisions:
  4-bit: {codebooks: 4, codebook_bits: 8, group_size: 8}
  2-bit: {codebooks: 2, codebook_bits: 8, group_size: 8}
calibrations:
  random: {path: random.jsonl, sequences: 64, sequence_length: 512, window: pack}
  code: {path: code.jsonl, sequences: 64, sequence_length: 512, window: pack}
benchmarks:
  demo:
    languages: {python: python.jsonl, java: java.jsonl}
    problems: {python: 60, java: 60}
    sampling: {samples: 2, temperature: 0.2, top_p: 0.95, max_tokens_total: 640}
questions:
  rq1: {models: [sparrow-1m, finch-4m], precisions: [fp16, 4-bit, 2-bit], calibrations: [code]}
  rq2: {models: [sparrow-1m], precisions: [fp16, 4-bit], calibrations: [random, code], reference: {calibration: random}}
)";

/// The grid of the study: 6 models, 4 precisions, 3 calibrations, fine-tuning, 2 benchmarks in 2
/// languages.
inline constexpr const char* kStudyGrid = R"(name: low-bit-code-models
models:
  - {id: CodeLlama-7b-hf, family: CodeLlama, params: 7B}
  - {id: CodeLlama-13b-hf, family: CodeLlama, params: 13B}
  - {id: CodeLlama-34b-hf, family: CodeLlama, params: 34B}
  - {id: deepseek-coder-1.3b-base, family: DeepSeek-Coder, params: 1.3B}
  - {id: deepseek-coder-6.7b-base, family: DeepSeek-Coder, params: 6.7B}
  - {id: deepseek-coder-33b-base, family: DeepSeek-Coder, params: 33B}
precisions:
  8-bit: {codebooks: 4, codebook_bits: 15, group_size: 8}
  4-bit: {codebooks: 2, codebook_bits: 15, group_size: 8}
  3-bit: {codebooks: 2, codebook_bits: 12, group_size: 8}
  2-bit: {codebooks: 1, codebook_bits: 15, group_size: 8}
calibrations:
  random: {path: /data/random.jsonl, sequences: 1024, validation: 128, sequence_length: 4096, window: random}
  mixed:
    parts:
      - {path: /data/qa.jsonl, sequences: 512, window: first}
      - {path: /data/java.jsonl, sequences: 256, window: first}
      - {path: /data/py.jsonl, sequences: 256, window: first}
    validation: 128
    sequence_length: 4096
  code:
    parts:
      - {path: /data/java.jsonl, sequences: 512, window: first}
      - {path: /data/py.jsonl, sequences: 512, window: first}
    validation: 128
    sequence_length: 4096
finetunes:
  kl: {objective: teacher-kl, learning_rate: 1.0e-5, epochs: 5, early_stop: 3}
benchmarks:
  multipl-e:
    languages: {python: /data/humaneval-py.jsonl, java: /data/humaneval-java.json}
    problems: {python: 161, java: 158}
    sampling: {samples: 20, temperature: 0.2, top_p: 0.95, max_tokens_total: 1024}
  mceval:
    format: mceval
    languages: {python: /data/mceval-py.jsonl, java: /data/mceval-java.jsonl}
    problems: {python: 42, java: 53}
    sampling: {samples: 20, temperature: 0.2, top_p: 0.95, max_tokens_total: 1500}
numerics: {device: cuda, dtype: f16}
questions:
  rq1: {models: [CodeLlama-7b-hf, deepseek-coder-6.7b-base], precisions: [fp16, 8-bit, 4-bit, 3-bit, 2-bit], calibrations: [random]}
  rq1-finetune: {models: [CodeLlama-7b-hf, deepseek-coder-6.7b-base], precisions: [fp16, 3-bit, 2-bit], calibrations: [random], finetunes: [none, kl]}
  rq2:
    models: [CodeLlama-7b-hf, deepseek-coder-6.7b-base]
    precisions: [fp16, 8-bit, 4-bit, 3-bit, 2-bit]
    calibrations: [random, mixed, code]
    reference: {calibration: random}
  rq3:
    models: [CodeLlama-7b-hf, CodeLlama-13b-hf, CodeLlama-34b-hf, deepseek-coder-1.3b-base, deepseek-coder-6.7b-base, deepseek-coder-33b-base]
    precisions: [fp16, 2-bit]
    calibrations: [mixed]
    finetunes: [none, kl]
)";

/// `text` with the first `from` replaced by `to`; `text` unchanged where there is none.
inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  if (const std::size_t at = text.find(from); at != std::string::npos) {
    text.replace(at, from.size(), to);
  }
  return text;
}

}  // namespace bitsweep
