// Which decoder serves a checkpoint, and on which devices it lies (decoder.h).
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "worker/engine/error.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/model/llama.h"

namespace bitsweep::engine {
namespace {

// A device's free memory of which weights may take so much; the rest is for buffers and a cache
// that is worth its while.
constexpr std::int64_t kWeightsPercent = 85;

std::string Mebibytes(std::int64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

bool FitsWithCache(std::int64_t bytes, std::int64_t free_bytes) {
  return bytes <= free_bytes / 100 * kWeightsPercent;
}

// What a replica keeps on each of its `split` devices. Every decoder expands into room of its own.
std::int64_t BytesOnEach(const WeightBytes& bytes, bool codes, std::int64_t split) {
  return codes ? (bytes.coded + split - 1) / split + split * bytes.scratch : bytes.expanded / split;
}

// What can be known before minutes of reading.
void RequireRoomForWeights(const WeightBytes& bytes,
                           bool codes,
                           const std::vector<at::Device>& devices,
                           std::int64_t split) {
  const std::int64_t each = BytesOnEach(bytes, codes, split);
  for (const at::Device device : devices) {
    const std::int64_t free = DeviceWork::FreeBytes(device);
    if (each > free) {
      throw EngineError(
          FailureClass::kOomGpu,
          std::string("the weights") +
              (codes ? ", kept as codes, with room to expand the largest of them" : "") + " take " +
              Mebibytes(each) + " on each of " + std::to_string(split) + " devices, divided over " +
              std::to_string(split) + " of " + std::to_string(devices.size()) + ", and " +
              device.str() + " has " + Mebibytes(free) + " left: use more GPUs or one with more " +
              "memory, " +
              (!codes && bytes.coded_linears > 0
                   ? "keep the weights as codes (" + Mebibytes(BytesOnEach(bytes, true, split)) +
                         "), "
                   : "") +
              "or end what else runs there");
    }
  }
}

std::int64_t FreeBytesOfEach(const std::vector<at::Device>& devices) {
  std::int64_t free = DeviceWork::FreeBytes(devices[0]);
  for (const at::Device device : devices) {
    free = std::min(free, DeviceWork::FreeBytes(device));
  }
  return free;
}

// Of a group's devices, each block's.
std::vector<at::Device> BlockDevices(const std::vector<at::Device>& group,
                                     const std::vector<std::int64_t>& first_layers,
                                     std::int64_t layers) {
  std::vector<at::Device> devices;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const auto after = std::upper_bound(first_layers.begin(), first_layers.end(), layer);
    devices.push_back(group[static_cast<std::size_t>(after - first_layers.begin()) - 1]);
  }
  return devices;
}

void CheckSplit(std::int64_t split, const std::vector<at::Device>& devices, const ModelConfig& c) {
  const auto count = static_cast<std::int64_t>(devices.size());
  if (count % split != 0 || split > c.num_layers) {
    ThrowBadInput("split " + std::to_string(split) + ": want a divisor of the number of devices (" +
                  std::to_string(count) + ") and at most the model's layers (" +
                  std::to_string(c.num_layers) + ")");
  }
}

}  // namespace

std::int64_t DevicesPerReplica(std::int64_t weight_bytes,
                               std::int64_t free_bytes,
                               std::int64_t devices,
                               std::int64_t layers) {
  for (std::int64_t split = 1; split < devices; ++split) {
    if (devices % split == 0 && FitsWithCache(weight_bytes / split, free_bytes)) {
      return split <= layers ? split : 1;
    }
  }
  // All of them; alone, a device may be filled to its last byte.
  return devices <= layers ? devices : 1;
}

WeightsChoice ChooseWeights(WeightsForm form,
                            const WeightBytes& bytes,
                            std::int64_t free_bytes,
                            std::int64_t devices,
                            std::int64_t split,
                            std::int64_t layers) {
  if (form == WeightsForm::kExpanded) {
    return {false, "as asked for"};
  }
  if (bytes.coded_linears == 0) {
    if (form == WeightsForm::kCodes) {
      ThrowBadInput(
          "weights codes: the model has no linears that are quantized, with codebooks in f16; "
          "allowed "
          "for it: expanded, auto");
    }
    return {false, "no linear is quantized"};
  }
  if (form == WeightsForm::kCodes) {
    return {true, "as asked for"};
  }
  const std::int64_t over =
      split > 0 ? split : DevicesPerReplica(bytes.expanded, free_bytes, devices, layers);
  const std::string sizes = Mebibytes(bytes.expanded / over) + " on each of " +
                            std::to_string(over) + " devices, which have " + Mebibytes(free_bytes) +
                            " left";
  if (FitsWithCache(bytes.expanded / over, free_bytes)) {
    return {false, "expanded they take " + sizes};
  }
  return {true, "expanded they would take " + sizes};
}

std::shared_ptr<const DecoderModel> MakeDecoderModel(const Checkpoint& checkpoint,
                                                     at::ScalarType dtype,
                                                     at::Device device) {
  return PlaceDecoderModels(checkpoint, dtype, {device}, 1)[0].model;
}

std::vector<PlacedModel> PlaceDecoderModels(const Checkpoint& checkpoint,
                                            at::ScalarType dtype,
                                            const std::vector<at::Device>& devices,
                                            std::int64_t split,
                                            WeightsForm form) {
  const at::Device first = devices.at(0);
  const ModelConfig& config = checkpoint.config();
  CheckNumerics(dtype, first);
  const bool paged = first.is_cuda() && PagedDecoderServes(config, dtype, first);
  if (!paged && (split > 1 || form == WeightsForm::kCodes)) {
    ThrowBadInput((split > 1 ? "split " + std::to_string(split) + ": layers are divided"
                             : std::string("weights codes: codes are kept")) +
                  " only where keys and values are paged: f16 or bf16 on a GPU of compute "
                  "capability 9.0, a head size of 32, 64, 96 or 128");
  }
  if (first.is_cpu() && dtype == at::kFloat) {
    const std::shared_ptr<const DecoderModel> model = MakeCpuDecoderModel(checkpoint);
    std::vector<PlacedModel> placed;
    for (const at::Device device : devices) {
      placed.push_back({model, device, 1, {false, "this device's decoder has no other form"}});
    }
    return placed;
  }
  const WeightBytes bytes = WeightBytesOf(checkpoint, dtype);
  const auto count = static_cast<std::int64_t>(devices.size());
  const std::int64_t free = FreeBytesOfEach(devices);
  const WeightsChoice weights =
      paged ? ChooseWeights(form, bytes, free, count, split, config.num_layers)
            : WeightsChoice{false, "this device's decoder has no other form"};
  if (split == 0) {
    split = paged ? DevicesPerReplica(weights.codes ? BytesOnEach(bytes, true, 1) : bytes.expanded,
                                      free,
                                      count,
                                      config.num_layers)
                  : 1;
  }
  CheckSplit(split, devices, config);
  RequireRoomForWeights(bytes, weights.codes, devices, split);
  const std::vector<std::int64_t> first_layers = EvenStretches(config.num_layers, split);
  std::shared_ptr<const LlamaModel> loaded;
  std::vector<PlacedModel> placed;
  for (auto group = devices.begin(); group != devices.end(); group += split) {
    const std::vector<at::Device> block_devices =
        BlockDevices({group, group + split}, first_layers, config.num_layers);
    const std::shared_ptr<const LlamaModel> llama =
        loaded == nullptr ? LlamaModel::LoadSpread(checkpoint, dtype, block_devices, weights.codes)
                          : CopyTo(*loaded, block_devices);
    loaded = loaded == nullptr ? llama : loaded;
    placed.push_back(
        {paged ? MakePagedDecoderModel(llama, first_layers) : MakeTorchDecoderModel(llama),
         *group,
         static_cast<int>(split),
         weights});
  }
  return placed;
}

}  // namespace bitsweep::engine
