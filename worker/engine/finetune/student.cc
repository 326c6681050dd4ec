#include "worker/engine/finetune/student.h"

#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/error.h"
#include "worker/engine/finetune/block_graph.h"
#include "worker/engine/finetune/kl_head.h"

namespace bitsweep::engine {
namespace {

std::string LayerPrefix(std::int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

CodedBlock LoadCodedBlock(const Checkpoint& checkpoint,
                          std::int64_t layer,
                          at::ScalarType dtype,
                          at::Device device,
                          bool bf16_products) {
  const std::string prefix = LayerPrefix(layer);
  std::map<std::string, QuantizedLinear> linears;
  for (const std::string& name : ModelConfig::LinearNames()) {
    if (!checkpoint.IsQuantized(prefix + name)) {
      ThrowBadInput(checkpoint.dir() + ": " + prefix + name +
                    " is not quantized; fine-tuning wants a checkpoint of the quantize stage");
    }
    linears[name] = checkpoint.GetQuantized(prefix + name);
  }
  return {prefix,
          linears,
          checkpoint.Get(prefix + "input_layernorm.weight"),
          checkpoint.Get(prefix + "post_attention_layernorm.weight"),
          dtype,
          device,
          bf16_products};
}

std::size_t ParametersPerBlock() {
  return 2 + 3 * ModelConfig::LinearNames().size();
}

}  // namespace

// What the backward pass goes back over: inputs of the blocks and of the final norm are leaves, so
// that each block's graph ends at its own input.
struct Student::Tape {
  std::vector<at::Tensor> inputs;
  std::vector<BlockWeights> leaves;  // With `outputs`: empty when recomputing.
  std::vector<at::Tensor> outputs;
  at::Tensor norm_input, norm_leaf, norm_output;
};

Student::Student(const Checkpoint& checkpoint,
                 std::int64_t positions,
                 at::ScalarType dtype,
                 at::Device device,
                 bool bf16_products)
    : config_(checkpoint.config()),
      is_tied_(config_.tie_word_embeddings),
      rope_(MakeRopeTable(config_, positions, device)) {
  const at::TensorOptions options = at::TensorOptions().dtype(dtype).device(device);
  const auto load = [&](const std::string& name, TrainedPart part) -> Parameter {
    return {name, part, checkpoint.Get(name).to(options, /*non_blocking=*/false, /*copy=*/true)};
  };
  embed_ = load("model.embed_tokens.weight", TrainedPart::kEmbeddings);
  norm_ = load("model.norm.weight", TrainedPart::kNorms);
  blocks_.reserve(static_cast<std::size_t>(config_.num_layers));
  for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
    blocks_.push_back(LoadCodedBlock(checkpoint, layer, dtype, device, bf16_products));
  }
  parameters_.push_back(&embed_);
  for (CodedBlock& block : blocks_) {
    for (Parameter& parameter : block.parameters()) {
      parameters_.push_back(&parameter);
    }
  }
  parameters_.push_back(&norm_);
  if (!is_tied_) {
    head_ = load("lm_head.weight", TrainedPart::kLmHead);
    parameters_.push_back(&head_);
  }
}

at::Tensor Student::Forward(const at::Tensor& ids, bool recompute, Tape* tape) const {
  const bool keeps_graphs = tape != nullptr && !recompute;
  at::Tensor x = at::embedding(embed_.value, ids);
  for (const CodedBlock& block : blocks_) {
    BlockWeights leaves = block.Leaves(keeps_graphs);
    if (tape != nullptr) {
      x = x.detach().set_requires_grad(keeps_graphs);
      tape->inputs.push_back(x);
    }
    x = BlockGraph(config_, leaves, rope_, x);
    if (keeps_graphs) {
      tape->leaves.push_back(std::move(leaves));
      tape->outputs.push_back(x);
    }
  }
  if (tape == nullptr) {
    return NormGraph(x, norm_.value, config_.rms_norm_eps);
  }
  tape->norm_input = x.detach().set_requires_grad(true);
  tape->norm_leaf = norm_.value.detach().set_requires_grad(true);
  tape->norm_output = NormGraph(tape->norm_input, tape->norm_leaf, config_.rms_norm_eps);
  return tape->norm_output.detach();
}

void Student::Backward(const at::Tensor& ids,
                       Tape& tape,
                       at::Tensor slope,
                       Gradients* gradients) const {
  tape.norm_output.backward(slope.view(tape.norm_output.sizes()));
  const std::size_t norm_at = 1 + blocks_.size() * ParametersPerBlock();
  (*gradients)[norm_at] = tape.norm_leaf.grad();
  slope = tape.norm_input.grad();
  for (std::size_t layer = blocks_.size(); layer-- > 0;) {
    at::Tensor input = tape.inputs[layer];
    at::Tensor output;
    BlockWeights leaves;
    if (tape.outputs.empty()) {
      leaves = blocks_[layer].Leaves(true);
      input = input.detach().set_requires_grad(true);
      output = BlockGraph(config_, leaves, rope_, input);
    } else {
      leaves = std::move(tape.leaves[layer]);
      output = std::exchange(tape.outputs[layer], at::Tensor());
    }
    tape.inputs[layer].reset();
    output.backward(slope);
    blocks_[layer].Pull(leaves, gradients->data() + 1 + layer * ParametersPerBlock());
    slope = input.grad();
  }
  const at::Tensor by_rows =
      at::embedding_dense_backward(slope, ids, config_.vocab_size, -1, false);
  at::Tensor& embedding = (*gradients)[0];
  embedding = embedding.defined() ? embedding.add_(by_rows) : by_rows;
}

double Student::Pass(const at::Tensor& ids,
                     const TeacherStates& teacher,
                     bool recompute,
                     Gradients* gradients) const {
  const at::Tensor on_device = ids.to(embed_.value.device());
  Tape tape;
  const at::Tensor hidden = Forward(on_device, recompute, gradients == nullptr ? nullptr : &tape);
  const KlHeads heads = {.student_hidden = hidden.reshape({-1, config_.hidden_size}),
                         .teacher_hidden = teacher.hidden.to(embed_.value.scalar_type()),
                         .student_head = Head().value,
                         .teacher_head = teacher.head.to(embed_.value.scalar_type())};
  KlGradients slopes;
  const double loss = TeacherKl(heads, gradients == nullptr ? nullptr : &slopes);
  if (gradients != nullptr) {
    gradients->resize(parameters_.size());
    // Where they are one table, what the head asks of it comes first and the rows' share is added.
    (is_tied_ ? gradients->front() : gradients->back()) = slopes.head;
    Backward(on_device, tape, slopes.hidden, gradients);
  }
  return loss;
}

std::int64_t Student::KeptGraphBytes(std::int64_t tokens, std::int64_t length) const {
  std::int64_t weights = 0;
  for (const std::string& name : ModelConfig::LinearNames()) {
    const auto [rows, columns] = config_.LinearShape(name);
    weights += rows * columns;
  }
  const std::int64_t floats =
      16 * config_.hidden_size + 6 * config_.intermediate_size + 2 * config_.num_heads * length;
  return 4 * config_.num_layers * (2 * weights + tokens * floats);
}

void Student::RoundToStored() {
  const c10::NoGradGuard no_grad;
  for (Parameter* parameter : parameters_) {
    if (parameter->part != TrainedPart::kCodes) {
      parameter->value.copy_(parameter->value.to(at::kHalf));
    }
  }
}

void Student::OfferCodes(const Checkpoint& teacher, const CodeChoiceOptions& options) {
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    std::map<std::string, at::Tensor> weights;
    for (const std::string& name : ModelConfig::LinearNames()) {
      weights[name] = teacher.Get(LayerPrefix(static_cast<std::int64_t>(layer)) + name + ".weight");
    }
    blocks_[layer].OfferCodes(weights, options);
  }
}

void Student::SoftenCodes(double temperature) {
  for (CodedBlock& block : blocks_) {
    block.SoftenCodes(temperature);
  }
}

void Student::SettleCodes() {
  for (CodedBlock& block : blocks_) {
    block.SettleCodes();
  }
}

void Student::RestoreCodes() {
  for (CodedBlock& block : blocks_) {
    block.RestoreCodes();
  }
}

std::int64_t Student::CodeBytes() const {
  std::int64_t bytes = 0;
  for (const CodedBlock& block : blocks_) {
    bytes += block.CodeBytes();
  }
  return bytes;
}

std::map<std::string, at::Tensor> Student::Codes() const {
  std::map<std::string, at::Tensor> codes;
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    for (const auto& [name, linear] : blocks_[layer].Linears()) {
      codes[LayerPrefix(static_cast<std::int64_t>(layer)) + name] = linear.codes;
    }
  }
  return codes;
}

void Student::Write(CheckpointWriter& writer) const {
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const std::vector<Parameter>& parameters = blocks_[layer].parameters();
    writer.WriteBlock(static_cast<std::int64_t>(layer),
                      blocks_[layer].Linears(),
                      {parameters[0].value, parameters[1].value});
  }
  writer.Finish({{"model.embed_tokens.weight", embed_.value},
                 {"model.norm.weight", norm_.value},
                 {"lm_head.weight", Head().value}});
}

}  // namespace bitsweep::engine
