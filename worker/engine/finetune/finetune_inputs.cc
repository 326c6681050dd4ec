#include "worker/engine/finetune/finetune_inputs.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {

at::Tensor AllIds(const CalibrationSet& calibration, std::int64_t vocab_size) {
  const std::size_t count = calibration.train.size() + calibration.validation.size();
  at::Tensor ids =
      at::empty({static_cast<std::int64_t>(count), calibration.sequence_length}, at::kLong);
  auto* out = ids.data_ptr<std::int64_t>();
  for (const auto* side : {&calibration.train, &calibration.validation}) {
    for (const std::vector<std::int64_t>& sequence : *side) {
      for (const std::int64_t id : sequence) {
        if (id < 0 || id >= vocab_size) {
          ThrowBadInput("calibration: token id " + std::to_string(id) +
                        " is outside the model's vocabulary of " + std::to_string(vocab_size));
        }
        *out++ = id;
      }
    }
  }
  return ids;
}

void CheckPair(const Checkpoint& student,
               const Checkpoint& teacher,
               const CalibrationSet& calibration) {
  const ModelConfig& s = student.config();
  const ModelConfig& t = teacher.config();
  if (!s.aqlm.has_value()) {
    ThrowBadInput(student.dir() +
                  ": is not quantized (config.json has no quantization_config); "
                  "fine-tuning wants a checkpoint of the quantize stage");
  }
  if (t.aqlm.has_value()) {
    ThrowBadInput(teacher.dir() + ": is quantized; the teacher is the full-precision model");
  }
  const auto same = [&](const char* key, std::int64_t a, std::int64_t b) {
    if (a != b) {
      ThrowBadInput(student.dir() + " and " + teacher.dir() + ": " + key + " is " +
                    std::to_string(a) + " in one and " + std::to_string(b) +
                    " in the other; the teacher is the model that was quantized");
    }
  };
  same("hidden_size", s.hidden_size, t.hidden_size);
  same("intermediate_size", s.intermediate_size, t.intermediate_size);
  same("num_hidden_layers", s.num_layers, t.num_layers);
  same("num_attention_heads", s.num_heads, t.num_heads);
  same("num_key_value_heads", s.num_kv_heads, t.num_kv_heads);
  same("head_dim", s.head_dim, t.head_dim);
  same("vocab_size", s.vocab_size, t.vocab_size);
  same("tie_word_embeddings", s.tie_word_embeddings ? 1 : 0, t.tie_word_embeddings ? 1 : 0);
  if (calibration.sequence_length > s.max_position_embeddings) {
    ThrowBadInput("calibration: sequence_length " + std::to_string(calibration.sequence_length) +
                  " is more than the model's " + std::to_string(s.max_position_embeddings) +
                  " positions (" + student.dir() + "/config.json, max_position_embeddings)");
  }
}

}  // namespace bitsweep::engine
