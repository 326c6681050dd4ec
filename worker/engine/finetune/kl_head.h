// KL(teacher || student) = sum p_T (log p_T - log p_S) of two heads over hidden states, and its
// gradients in closed form: dL/dlogits_S = p_S - p_T. Logits exist for a few rows at a time, so
// that a large vocabulary and long sequences cost no memory. Thread rule: pure functions, any
// thread.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

struct KlHeads {
  at::Tensor student_hidden, teacher_hidden;  // [N, h], after the final norm
  at::Tensor student_head, teacher_head;      // [V, h]
};

struct KlGradients {
  at::Tensor hidden;  // [N, h]
  at::Tensor head;    // [V, h]
};

/// Logits of each head that exist at a time.
std::int64_t LogitsAtOnce(bool on_cpu, std::int64_t vocabulary);

/// The mean over the N rows; its gradients by the student's hidden states and head where asked for.
/// Inputs are of one dtype and device; sums are f64.
double TeacherKl(const KlHeads& heads, KlGradients* gradients);

}  // namespace bitsweep::engine
