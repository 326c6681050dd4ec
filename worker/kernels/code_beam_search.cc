#include "worker/kernels/code_beam_search.h"

#include <algorithm>
#include <array>
#include <vector>

#include "worker/kernels/candidates.h"
#include "worker/kernels/matmul.h"
#include "worker/kernels/parallel.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {
namespace {

// Bytes that the tables of a panel of groups may take; rows go through one panel after the other.
constexpr std::int64_t kPanelBytesMax = std::int64_t{32} << 20;

// What a visit of one code leaves of each hypothesis.
struct Step {
  std::int32_t parent, code;
};

class BeamSweep {
 public:
  BeamSweep(const CodeSearchArgs& args, int beam)
      : args_(args), n_(args.shape), width_(n_.I * n_.g), beam_(beam), simd_(ActiveSimd()) {
    tables_.resize(At(n_.M));
    for (std::int64_t m = 0; m < n_.M; ++m) {
      tables_[At(m)].Pack(args.codebooks + m * n_.K * n_.g, n_.K, n_.g);
    }
    padded_ = tables_[0].padded;
  }

  void Run() {
    products_.resize(At(n_.O * beam_ * width_));
    gains_.assign(At(n_.O * beam_), 0.0F);
    steps_.resize(At(n_.O * n_.I * n_.M * beam_));
    for (std::int64_t o = 0; o < n_.O; ++o) {
      std::copy_n(args_.product + o * width_, width_, products_.data() + o * beam_ * width_);
    }
    const std::int64_t bytes_a_group = (n_.M * padded_ * (n_.g + 1) + n_.g * width_) * 4;
    const std::int64_t groups = std::max<std::int64_t>(1, kPanelBytesMax / bytes_a_group);
    for (std::int64_t begin = 0; begin < n_.I; begin += groups) {
      Prepare(begin, std::min(groups, n_.I - begin));
      ParallelFor(n_.O, 1, args_.threads, [this](std::int64_t first, std::int64_t last) {
        Row row(*this);
        for (std::int64_t o = first; o < last; ++o) {
          row.Search(o);
        }
      });
    }
    for (std::int64_t o = 0; o < n_.O; ++o) {
      Take(o);
    }
  }

 private:
  static std::size_t At(std::int64_t i) { return static_cast<std::size_t>(i); }

  // Of the hypotheses after `visits` codes.
  std::int64_t Count(std::int64_t visits) const {
    std::int64_t count = 1;
    for (std::int64_t i = 0; i < visits && count < beam_; ++i) {
      count = std::min<std::int64_t>(beam_, count * n_.K);
    }
    return count;
  }

  // Groups begin .. begin + count of the visiting order.
  void Prepare(std::int64_t begin, std::int64_t count) {
    begin_ = begin;
    count_ = count;
    std::vector<std::int32_t> columns;
    for (std::int64_t p = 0; p < count; ++p) {
      for (std::int64_t d = 0; d < n_.g; ++d) {
        columns.push_back(static_cast<std::int32_t>(args_.group_order[begin + p] * n_.g + d));
      }
    }
    rows_of_h_.Pack(args_.xtx, count * n_.g, width_, width_, columns.data());
    transformed_.resize(At(count * n_.M * n_.g * padded_));
    norms_.resize(At(count * n_.M * padded_));
    ParallelFor(count * n_.M, 1, args_.threads, [this](std::int64_t first, std::int64_t last) {
      std::vector<float> block(At(n_.g * n_.g));
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t column = args_.group_order[begin_ + i / n_.M] * n_.g;
        for (std::int64_t e = 0; e < n_.g; ++e) {
          std::copy_n(args_.xtx + (column + e) * width_ + column, n_.g, block.data() + e * n_.g);
        }
        simd_.metric(n_.g,
                     padded_,
                     block.data(),
                     tables_[At(i % n_.M)].table.data(),
                     transformed_.data() + i * n_.g * padded_,
                     norms_.data() + i * padded_);
        std::fill_n(norms_.data() + i * padded_ + n_.K, padded_ - n_.K, kPaddingNorm);
      }
    });
  }

  // The best hypothesis becomes the row's codes, D and P.
  void Take(std::int64_t o) {
    const float* gains = gains_.data() + o * beam_;
    std::int64_t best = std::min_element(gains, gains + Count(n_.I * n_.M)) - gains;
    std::copy_n(
        products_.data() + (o * beam_ + best) * width_, width_, args_.product + o * width_);
    for (std::int64_t i = n_.I * n_.M; i-- > 0;) {
      const Step& step = steps_[At((o * n_.I * n_.M + i) * beam_ + best)];
      const std::int64_t j = args_.group_order[i / n_.M];
      const std::int64_t m = args_.codebook_order[i];
      std::int32_t& code = args_.codes[(o * n_.I + j) * n_.M + m];
      const float* books = args_.codebooks + m * n_.K * n_.g;
      for (std::int64_t d = 0; d < n_.g; ++d) {
        args_.residual[o * width_ + j * n_.g + d] +=
            args_.scales[o] * (books[code * n_.g + d] - books[step.code * n_.g + d]);
      }
      code = step.code;
      best = step.parent;
    }
  }

  // The lowest losses seen, in order.
  struct Lowest {
    std::array<float, kBeamMax> gains;
    std::array<Step, kBeamMax> steps;
    std::int64_t count = 0, most = 1;

    float Bar() const { return count < most ? 3e38F : gains[At(count - 1)]; }
    void Add(float gain, Step step) {
      std::int64_t at = count < most ? count++ : count - 1;
      for (; at > 0 && gains[At(at - 1)] > gain; --at) {
        gains[At(at)] = gains[At(at - 1)];
        steps[At(at)] = steps[At(at - 1)];
      }
      gains[At(at)] = gain;
      steps[At(at)] = step;
    }
  };

  // One row through the panel, with buffers that rows of one thread share.
  class Row {
   public:
    explicit Row(const BeamSweep& sweep)
        : s_(sweep),
          next_(At(s_.beam_ * s_.width_)),
          scores_(At(s_.padded_)),
          target_(At(s_.n_.g)),
          changes_(At(s_.beam_ * s_.n_.g)) {}

    void Search(std::int64_t o) {
      for (std::int64_t p = 0; p < s_.count_; ++p) {
        for (std::int64_t step = 0; step < s_.n_.M; ++step) {
          Visit(o, p, (s_.begin_ + p) * s_.n_.M + step);
        }
      }
    }

   private:
    // Visit `i` of the sweep, which is of the panel's group p.
    void Visit(std::int64_t o, std::int64_t p, std::int64_t i) {
      const CodeShape& n = s_.n_;
      const std::int64_t m = s_.args_.codebook_order[i];
      const std::int64_t j = s_.args_.group_order[i / n.M];
      // All hypotheses have it still: a place is visited once.
      const std::int32_t code = s_.args_.codes[(o * n.I + j) * n.M + m];
      float* products = s_.products_.data() + o * s_.beam_ * s_.width_;
      float* gains = s_.gains_.data() + o * s_.beam_;
      Lowest lowest{};
      lowest.most = s_.beam_;
      const std::int64_t hypotheses = s_.Count(i);
      for (std::int64_t b = 0; b < hypotheses; ++b) {
        Score(products + b * s_.width_ + j * n.g, o, p * n.M + m, m, code);
        const float base = gains[b] - scores_[At(code)];
        for (std::int64_t k = 0; k < n.K; ++k) {
          const float gain = base + scores_[At(k)];
          if (gain < lowest.Bar()) {
            lowest.Add(gain, {static_cast<std::int32_t>(b), static_cast<std::int32_t>(k)});
          }
        }
      }
      Adopt(o, p, i, m, code, lowest, products);
      std::copy_n(lowest.gains.data(), lowest.count, gains);
    }

    // scores_[k] = s^2 C_k H_jj C_k - 2 s C_k . (P_j + s C_code H_jj)
    void Score(
        const float* product, std::int64_t o, std::int64_t table, std::int64_t m, std::int64_t code) {
      const std::int64_t g = s_.n_.g;
      const float scale = s_.args_.scales[o];
      const float* transformed = s_.transformed_.data() + table * g * s_.padded_;
      for (std::int64_t d = 0; d < g; ++d) {
        target_[At(d)] =
            2.0F * scale * (product[d] + scale * transformed[d * s_.padded_ + code]);
      }
      s_.simd_.scores(g,
                      s_.padded_,
                      scale * scale,
                      target_.data(),
                      s_.norms_.data() + table * s_.padded_,
                      s_.tables_[At(m)].table.data(),
                      scores_.data());
    }

    // P of the hypotheses that were kept.
    void Adopt(std::int64_t o,
               std::int64_t p,
               std::int64_t i,
               std::int64_t m,
               std::int64_t code,
               const Lowest& lowest,
               float* products) {
      const CodeShape& n = s_.n_;
      const float* books = s_.args_.codebooks + m * n.K * n.g;
      for (std::int64_t b = 0; b < lowest.count; ++b) {
        const Step& step = lowest.steps[At(b)];
        s_.steps_[At((o * n.I * n.M + i) * s_.beam_ + b)] = step;
        std::copy_n(products + step.parent * s_.width_, s_.width_, next_.data() + b * s_.width_);
        for (std::int64_t d = 0; d < n.g; ++d) {
          changes_[At(b * n.g + d)] =
              s_.args_.scales[o] * (books[code * n.g + d] - books[step.code * n.g + d]);
        }
      }
      for (std::int64_t c = 0; c < s_.width_; c += kStripColumns) {
        s_.simd_.strip(lowest.count,
                       n.g,
                       std::min(kStripColumns, s_.width_ - c),
                       changes_.data(),
                       n.g,
                       s_.rows_of_h_.Strip(c / kStripColumns) + p * n.g * kStripColumns,
                       next_.data() + c,
                       s_.width_,
                       true);
      }
      std::copy_n(next_.data(), lowest.count * s_.width_, products);
    }

    const BeamSweep& s_;
    std::vector<float> next_;     // [beam, width]
    std::vector<float> scores_;   // [K_padded]
    std::vector<float> target_;   // [g]
    std::vector<float> changes_;  // [beam, g]
  };

  const CodeSearchArgs& args_;
  const CodeShape n_;
  const std::int64_t width_;
  const std::int64_t beam_;
  const SimdLoops& simd_;
  std::int64_t padded_ = 0;
  std::vector<CandidateTable> tables_;
  // Of the panel:
  std::int64_t begin_ = 0, count_ = 0;
  PackedMatrix rows_of_h_;          // H[columns, :]
  std::vector<float> transformed_;  // [groups, M, g, K_padded]: C_k H_jj, transposed
  std::vector<float> norms_;        // [groups, M, K_padded]
  // Of the rows; each is written by the thread that has it.
  mutable std::vector<float> products_;  // [O, beam, width]
  mutable std::vector<float> gains_;     // [O, beam]: loss less the given codes'
  mutable std::vector<Step> steps_;      // [O, I*M, beam]
};

}  // namespace

KernelStatus CodeBeamSweep(const CodeSearchArgs& args, int beam) {
  if (!args.shape.Valid() || beam < 1 || beam > kBeamMax) {
    return KernelStatus::kBadShape;
  }
  BeamSweep(args, beam).Run();
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
