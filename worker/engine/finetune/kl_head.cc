#include "worker/engine/finetune/kl_head.h"

#include <algorithm>
#include <cstdint>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace bitsweep::engine {
namespace {

// Logits at a time: what a core's cache holds (1 MiB), and what fills a GPU.
constexpr std::int64_t kLogitsOnCpu = std::int64_t{1} << 18;
constexpr std::int64_t kLogitsOnDevice = std::int64_t{1} << 26;
constexpr std::int64_t kRowsMin = 16;

}  // namespace

std::int64_t LogitsAtOnce(bool on_cpu, std::int64_t vocabulary) {
  return std::max(kRowsMin, (on_cpu ? kLogitsOnCpu : kLogitsOnDevice) / vocabulary) * vocabulary;
}

double TeacherKl(const KlHeads& heads, KlGradients* gradients) {
  const c10::NoGradGuard no_grad;
  const at::Tensor& hidden = heads.student_hidden;
  const std::int64_t rows = hidden.size(0);
  const std::int64_t vocabulary = heads.student_head.size(0);
  const std::int64_t chunk = LogitsAtOnce(hidden.is_cpu(), vocabulary) / vocabulary;
  const double share = 1.0 / static_cast<double>(rows);
  if (gradients != nullptr) {
    gradients->hidden = at::empty_like(hidden);
    gradients->head = at::zeros_like(heads.student_head);
  }
  at::Tensor sum = at::zeros({}, hidden.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t count = std::min(chunk, rows - begin);
    const at::Tensor x = hidden.narrow(0, begin, count);
    const at::Tensor student = at::log_softmax(at::linear(x, heads.student_head), -1);
    const at::Tensor teacher = at::log_softmax(
        at::linear(heads.teacher_hidden.narrow(0, begin, count), heads.teacher_head), -1);
    const at::Tensor probable = teacher.exp();
    sum.add_(at::dot(probable.view({-1}), (teacher - student).view({-1})).to(at::kDouble));
    if (gradients != nullptr) {
      const at::Tensor slope = student.exp().sub_(probable).mul_(share);
      gradients->hidden.narrow(0, begin, count).copy_(at::mm(slope, heads.student_head));
      gradients->head.addmm_(slope.t(), x);
    }
  }
  return sum.item<double>() * share;
}

}  // namespace bitsweep::engine
