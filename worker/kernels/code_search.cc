#include "worker/kernels/code_search.h"

#include <algorithm>
#include <vector>

#include "worker/kernels/candidates.h"
#include "worker/kernels/matmul.h"
#include "worker/kernels/parallel.h"
#include "worker/kernels/simd.h"

namespace bitsweep::kernels {
namespace {

// Rows searched together: their slice of P and D stays in the first-level cache. A multiple of
// every matrix tile's height.
constexpr std::int64_t kTile = 24;
// Groups a panel, at most: 16 groups of 8 make a 128-wide product at its end, wide enough to run at
// the matrix rate.
constexpr std::int64_t kPanelGroupsMax = 16;
// Bytes of C H tables a panel may take: they are read by every row and should stay in the
// second-level cache.
constexpr std::int64_t kPanelBytesMax = 1 << 20;

// What all rows share while one panel of groups is searched.
struct Panel {
  std::int64_t begin = 0;  // Positions begin .. begin+groups of the group order.
  std::int64_t groups = 0;
  std::vector<std::int32_t>
      columns;  // [groups*g] columns of H that the panel covers, in visiting order
  std::vector<float> transformed;  // [groups, M, g, K_padded]: C_k H_jj, transposed
  std::vector<float> norms;        // [groups, M, K_padded]
  PackedMatrix inside;             // H[columns, columns]
  PackedMatrix all;                // H[columns, :]
};

class Sweep {
 public:
  explicit Sweep(const CodeSearchArgs& args) : args_(args), n_(args.shape), width_(n_.I * n_.g) {
    tables_.resize(static_cast<std::size_t>(n_.M));
    for (std::int64_t m = 0; m < n_.M; ++m) {
      tables_[static_cast<std::size_t>(m)].Pack(args.codebooks + m * n_.K * n_.g, n_.K, n_.g);
    }
    padded_ = tables_[0].padded;
  }

  void Run() {
    const std::int64_t bytes_a_group = n_.M * padded_ * n_.g * 4;
    const std::int64_t groups_max =
        std::clamp<std::int64_t>(kPanelBytesMax / bytes_a_group, 1, kPanelGroupsMax);
    for (std::int64_t begin = 0; begin < n_.I; begin += groups_max) {
      Prepare(begin, std::min(groups_max, n_.I - begin));
      ParallelFor(n_.O, kTile, args_.threads, [this](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; row += kTile) {
          SearchRows(row, std::min(kTile, last - row));
        }
      });
    }
  }

 private:
  void Prepare(std::int64_t begin, std::int64_t groups) {
    panel_.begin = begin;
    panel_.groups = groups;
    panel_.columns.clear();
    for (std::int64_t p = 0; p < groups; ++p) {
      for (std::int64_t d = 0; d < n_.g; ++d) {
        panel_.columns.push_back(
            static_cast<std::int32_t>(args_.group_order[begin + p] * n_.g + d));
      }
    }
    panel_.all.Pack(args_.xtx, groups * n_.g, width_, width_, panel_.columns.data());
    PackInside();
    panel_.transformed.resize(static_cast<std::size_t>(groups * n_.M * n_.g * padded_));
    panel_.norms.resize(static_cast<std::size_t>(groups * n_.M * padded_));
    ParallelFor(groups * n_.M, 1, args_.threads, [this](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        PrepareCandidates(i / n_.M, i % n_.M);
      }
    });
  }

  void PackInside() {
    const std::int64_t size = panel_.groups * n_.g;
    std::vector<float> inside(static_cast<std::size_t>(size * size));
    for (std::int64_t a = 0; a < size; ++a) {
      for (std::int64_t b = 0; b < size; ++b) {
        inside[static_cast<std::size_t>(a * size + b)] =
            args_.xtx[panel_.columns[static_cast<std::size_t>(a)] * width_ +
                      panel_.columns[static_cast<std::size_t>(b)]];
      }
    }
    panel_.inside.Pack(inside.data(), size, size, size);
  }

  void PrepareCandidates(std::int64_t p, std::int64_t m) {
    std::vector<float> block(static_cast<std::size_t>(n_.g * n_.g));
    const std::int64_t first = panel_.columns[static_cast<std::size_t>(p * n_.g)];
    for (std::int64_t e = 0; e < n_.g; ++e) {
      for (std::int64_t d = 0; d < n_.g; ++d) {
        block[static_cast<std::size_t>(e * n_.g + d)] = args_.xtx[(first + e) * width_ + first + d];
      }
    }
    float* norms = panel_.norms.data() + (p * n_.M + m) * padded_;
    ActiveSimd().metric(n_.g,
                        padded_,
                        block.data(),
                        tables_[static_cast<std::size_t>(m)].table.data(),
                        panel_.transformed.data() + (p * n_.M + m) * n_.g * padded_,
                        norms);
    std::fill(norms + n_.K, norms + padded_, kPaddingNorm);
  }

  // `rows` <= kTile rows from `row` on, through the whole panel.
  void SearchRows(std::int64_t row, std::int64_t rows) {
    const std::int64_t size = panel_.groups * n_.g;
    std::vector<float> products(
        static_cast<std::size_t>(rows * size));  // P at the panel's columns, kept up to date
    std::vector<float> changes(static_cast<std::size_t>(rows * size), 0.0F);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < size; ++c) {
        products[static_cast<std::size_t>(r * size + c)] =
            args_.product[(row + r) * width_ + panel_.columns[static_cast<std::size_t>(c)]];
      }
    }
    const SimdLoops& simd = ActiveSimd();
    for (std::int64_t p = 0; p < panel_.groups; ++p) {
      for (std::int64_t step = 0; step < n_.M; ++step) {
        Choose(row,
               rows,
               p,
               args_.codebook_order[(panel_.begin + p) * n_.M + step],
               products.data(),
               changes.data());
      }
      // Later groups of the panel see this group's change at once. (The strip may begin earlier:
      // those columns are done.)
      const std::int64_t first = (p + 1) * n_.g / kStripColumns * kStripColumns;
      for (std::int64_t c = first; c < size && p + 1 < panel_.groups; c += kStripColumns) {
        simd.strip(rows,
                   n_.g,
                   std::min(kStripColumns, size - c),
                   changes.data() + p * n_.g,
                   size,
                   panel_.inside.Strip(c / kStripColumns) + p * n_.g * kStripColumns,
                   products.data() + c,
                   size,
                   true);
      }
    }
    for (std::int64_t c = 0; c < width_; c += kStripColumns) {
      simd.strip(rows,
                 size,
                 std::min(kStripColumns, width_ - c),
                 changes.data(),
                 size,
                 panel_.all.Strip(c / kStripColumns),
                 args_.product + row * width_ + c,
                 width_,
                 true);
    }
  }

  // The exact best code of codebook m at the panel's group p for every row of the tile.
  void Choose(std::int64_t row,
              std::int64_t rows,
              std::int64_t p,
              std::int64_t m,
              float* products,
              float* changes) {
    const std::int64_t g = n_.g;
    const std::int64_t size = panel_.groups * g;
    const std::int64_t group = args_.group_order[panel_.begin + p];
    const float* transformed = panel_.transformed.data() + (p * n_.M + m) * g * padded_;
    const CandidateTable& table = tables_[static_cast<std::size_t>(m)];
    float squares[kTile];
    std::int32_t best[kTile];
    std::vector<float>& targets = Scratch(kTile * g);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float scale = args_.scales[row + r];
      const std::int32_t code = args_.codes[((row + r) * n_.I + group) * n_.M + m];
      squares[r] = scale * scale;
      for (std::int64_t d = 0; d < g; ++d) {
        targets[static_cast<std::size_t>(r * g + d)] =
            2.0F * scale *
            (products[r * size + p * g + d] + scale * transformed[d * padded_ + code]);
      }
    }
    ActiveSimd().argmin(rows,
                        g,
                        padded_,
                        squares,
                        targets.data(),
                        panel_.norms.data() + (p * n_.M + m) * padded_,
                        table.table.data(),
                        best);
    for (std::int64_t r = 0; r < rows; ++r) {
      std::int32_t& code = args_.codes[((row + r) * n_.I + group) * n_.M + m];
      if (best[r] == code) {
        continue;
      }
      const float scale = args_.scales[row + r];
      for (std::int64_t d = 0; d < g; ++d) {
        const float change = scale * (table.table[static_cast<std::size_t>(d * padded_ + code)] -
                                      table.table[static_cast<std::size_t>(d * padded_ + best[r])]);
        changes[r * size + p * g + d] += change;
        args_.residual[(row + r) * width_ + group * g + d] += change;
        products[r * size + p * g + d] +=
            scale * (transformed[d * padded_ + code] - transformed[d * padded_ + best[r]]);
      }
      code = best[r];
    }
  }

  static std::vector<float>& Scratch(std::int64_t size) {
    thread_local std::vector<float> scratch;
    scratch.resize(static_cast<std::size_t>(size));
    return scratch;
  }

  const CodeSearchArgs& args_;
  const CodeShape n_;
  const std::int64_t width_;
  std::int64_t padded_ = 0;
  std::vector<CandidateTable> tables_;
  Panel panel_;
};

}  // namespace

KernelStatus CodeSearchSweep(const CodeSearchArgs& args) {
  if (!args.shape.Valid()) {
    return KernelStatus::kBadShape;
  }
  Sweep(args).Run();
  return KernelStatus::kOk;
}

}  // namespace bitsweep::kernels
