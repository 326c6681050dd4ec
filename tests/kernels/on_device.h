// Device memory and what the tests of device ops share. For files under BITSWEEP_CUDA.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <cuda_runtime.h>

#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/device.h"

namespace bitsweep::kernels {

// A vector's copy in device memory.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : size_(values.size()) {
    EXPECT_EQ(cudaMalloc(&data_, std::max<std::size_t>(size_ * sizeof(T), 1)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  explicit OnDevice(std::int64_t size, unsigned char poison = 0xff)
      : size_(static_cast<std::size_t>(size)) {
    EXPECT_EQ(cudaMalloc(&data_, std::max<std::size_t>(size_ * sizeof(T), 1)), cudaSuccess);
    EXPECT_EQ(cudaMemset(data_, poison, size_ * sizeof(T)), cudaSuccess);
  }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* get() const { return data_; }
  std::vector<T> Values() const {
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

class DeviceOpsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!DeviceSupported()) {
      GTEST_SKIP() << "skipped: no GPU of compute capability 9.0";
    }
  }
};

inline void ExpectOk(KernelStatus status) {
  EXPECT_EQ(status, KernelStatus::kOk) << LastDeviceError();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

// An index of codes, in device memory.
struct IndexOnDevice {
  IndexOnDevice(const CodeShape& n, const OnDevice<std::int32_t>& codes)
      : begins(n.M * (n.K + 1)), positions(n.M * n.O * n.I), workspace(CodeIndexWorkspaceBytes(n)) {
    index = {.shape = n, .begins = begins.get(), .positions = positions.get()};
    ExpectOk(BuildCodeIndexCuda(index, codes.get(), workspace.get(), nullptr));
  }
  OnDevice<std::int32_t> begins, positions;
  OnDevice<unsigned char> workspace;
  DeviceCodeIndex index;
};

}  // namespace bitsweep::kernels
