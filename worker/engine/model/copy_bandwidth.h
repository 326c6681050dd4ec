// What a device's memory allows, for benches' floors. Thread rule: one thread.
#pragma once

#include <c10/core/Device.h>

namespace bitsweep::engine {

/// Bytes a second of a copy on the device, read and written bytes counted.
double CopyBandwidth(at::Device device);

}  // namespace bitsweep::engine
