// `bench codebooks`: a product whose weights are codes, in each of the ways that a decoder may take
// (model/paged_layers.cc), beside the dense one: where look-ups end to pay, and what is left to
// gain.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/check_kernel.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/benches.h"
#include "worker/engine/generate/random_model.h"
#include "worker/engine/generate/step_meter.h"
#include "worker/engine/model/copy_bandwidth.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/model/generation_kernels.h"
#include "worker/engine/numerics.h"

namespace bitsweep::engine {
namespace {

// Weights of one set stay in no cache until their turn comes again.
constexpr std::int64_t kCodeBytesAtLeast = std::int64_t{300} << 20;
constexpr int kRuns = 20;

struct Flags {
  std::vector<std::int64_t> outputs = {4096};
  std::int64_t inputs = 4096, codebooks = 1, codebook_bits = 15, group_size = 8;
  std::vector<std::int64_t> rows = {1, 4, 8, 16, 32, 64, 128};
  std::string json;
};

// Sets of weights that take turns, and room for inputs and results.
struct Products {
  const GenerationKernels* kernels;
  kernels::Element element;
  std::vector<CodedProduct> coded;
  std::vector<at::Tensor> dense;  // [outputs, inputs]
  at::Tensor expanded;            // As one of `dense`.
  at::Tensor x, out;              // [most rows, *]
};

Products MakeProducts(const Flags& flags, at::ScalarType dtype, at::Device device) {
  kernels::CodebookShape shape;
  shape.I = flags.inputs / flags.group_size;
  shape.M = flags.codebooks;
  shape.g = flags.group_size;
  shape.bits = static_cast<int>(flags.codebook_bits);
  Products products = {
      .kernels = ChooseGenerationKernels(device),
      .element = dtype == at::kHalf ? kernels::Element::kF16 : kernels::Element::kBf16,
      .coded = {},
      .dense = {},
      .expanded = {},
      .x = {},
      .out = {}};
  if (products.kernels == nullptr || dtype == at::kFloat || flags.inputs % flags.group_size != 0) {
    ThrowBadInput(
        "bench codebooks needs --dtype f16 or bf16, on a GPU compute capability 9.0, and --inputs "
        "that are a multiple of --group-size");
  }
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const std::int64_t most = *std::max_element(flags.rows.begin(), flags.rows.end());
  std::int64_t bytes = 0;
  do {
    products.coded.push_back(RandomCodes(shape, flags.outputs, device));
    const std::int64_t outputs = products.coded.back().rows();
    products.dense.push_back(at::randn({outputs, flags.inputs}, options).mul_(0.02));
    bytes += outputs * shape.stride() * shape.M * shape.code_bytes();
  } while (bytes < kCodeBytesAtLeast && device.is_cuda());
  products.expanded = at::empty_like(products.dense[0]);
  products.x = at::randn({most, flags.inputs}, options);
  products.out = at::empty({most, products.dense[0].size(0)}, options);
  return products;
}

// Of one product, all sets in turn.
double Microseconds(const DeviceWork& work,
                    std::size_t sets,
                    const std::function<void(std::size_t)>& multiply) {
  const auto all = [&] {
    for (std::size_t i = 0; i < sets; ++i) {
      multiply(i);
    }
  };
  all();
  const std::unique_ptr<DeviceWork::Recording> recording = work.Record(all);
  recording->Run();
  work.MakeMark()->Await();
  const auto begin = std::chrono::steady_clock::now();
  for (int run = 0; run < kRuns; ++run) {
    recording->Run();
  }
  work.MakeMark()->Await();
  return 1e6 * SecondsSince(begin) / kRuns / static_cast<double>(sets);
}

nlohmann::ordered_json MeasureRows(const Flags& flags,
                                   const Products& p,
                                   const DeviceWork& work,
                                   std::int64_t rows,
                                   double bandwidth) {
  const at::Tensor x = p.x.narrow(0, 0, rows);
  at::Tensor out = p.out.narrow(0, 0, rows);
  const auto look_up = [&](std::size_t i) {
    kernels::CodebookMatvecArgs args = p.coded[i].MatvecArgs(p.element);
    args.rows = rows;
    args.x = x.data_ptr();
    args.out = out.data_ptr();
    CheckKernel(p.kernels->codebook_matvec(args, work.stream()), "codebook_matvec");
  };
  const auto expand = [&](std::size_t i) {
    kernels::CodebookExpandArgs args = p.coded[i].ExpandArgs(p.element);
    args.out = p.expanded.data_ptr();
    CheckKernel(p.kernels->codebook_expand(args, work.stream()), "codebook_expand");
  };
  const std::size_t sets = p.coded.size();
  double floor = 0.0;
  for (const std::int64_t outputs : flags.outputs) {
    floor += static_cast<double>(CodedBytes(p.coded[0].shape, outputs)) / bandwidth * 1e6;
  }
  const double looked_up = p.coded[0].has_matvec() ? Microseconds(work, sets, look_up) : 0.0;
  return {{"rows", rows},
          {"look_up_us", looked_up},
          {"floor_us", floor},
          {"expand_us", Microseconds(work, sets, expand)},
          {"expand_and_multiply_us",
           Microseconds(work,
                        sets,
                        [&](std::size_t i) {
                          expand(i);
                          at::mm_out(out, x, p.expanded.t());
                        })},
          {"dense_us",
           Microseconds(work, sets, [&](std::size_t i) { at::mm_out(out, x, p.dense[i].t()); })}};
}

void RunCodebookBench(const Flags& flags, const VerbContext& context) {
  const c10::NoGradGuard no_grad;
  const at::Device device = DeviceOf(context.numerics);
  const double bandwidth = CopyBandwidth(device);
  const Products products = MakeProducts(flags, DtypeOf(context.numerics), device);
  const DeviceWork work(device);
  const DeviceWork::Scope scope(work);
  std::printf(
      "%lldx%lld, g = %lld, %lld inputs, %lld outputs, %.0f GB/s of a copy\n"
      "| rows | look-up us | its floor | expand us | expand and multiply | dense product |\n"
      "|---|---|---|---|---|---|\n",
      static_cast<long long>(flags.codebooks),
      static_cast<long long>(flags.codebook_bits),
      static_cast<long long>(flags.group_size),
      static_cast<long long>(flags.inputs),
      static_cast<long long>(products.dense[0].size(0)),
      bandwidth / 1e9);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::int64_t count : flags.rows) {
    const nlohmann::ordered_json row = MeasureRows(flags, products, work, count, bandwidth);
    std::printf("| %lld | %.2f | %.2f | %.2f | %.2f | %.2f |\n",
                static_cast<long long>(count),
                row["look_up_us"].get<double>(),
                row["floor_us"].get<double>(),
                row["expand_us"].get<double>(),
                row["expand_and_multiply_us"].get<double>(),
                row["dense_us"].get<double>());
    std::fflush(stdout);
    rows.push_back(row);
  }
  if (!flags.json.empty()) {
    std::ofstream(flags.json) << rows.dump(1) << "\n";
  }
}

}  // namespace

DirectVerb ConfigureCodebookBench(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("--outputs", flags->outputs, "Of each linear of the product, up to three")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--inputs", flags->inputs, "Of the product")->check(CLI::PositiveNumber);
  app.add_option("--codebooks", flags->codebooks, "Of a linear")->check(CLI::PositiveNumber);
  app.add_option("--codebook-bits", flags->codebook_bits, "Of a code")->check(CLI::Range(1, 16));
  app.add_option("--group-size", flags->group_size, "Weights of a code")
      ->check(CLI::PositiveNumber);
  app.add_option("--rows", flags->rows, "Rows of inputs, a row of the table each")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--json", flags->json, "Also write the rows to this file");
  return [flags](const VerbContext& context) { RunCodebookBench(*flags, context); };
}

}  // namespace bitsweep::engine
