#include "worker/engine/finetune/products.h"

namespace bitsweep::engine {

const std::vector<std::string>& ProductsNames() {
  static const std::vector<std::string> kNames = {"f32", "bf16"};
  return kNames;
}

Products ProductsOf(const std::string& name) {
  return name == ProductsNames().front() ? Products::kF32 : Products::kBf16;
}

const std::string& NameOf(Products products) {
  return ProductsNames()[static_cast<std::size_t>(products)];
}

Products ReadProducts(StrictObject& method) {
  return ProductsOf(method.ChoiceOr("products", ProductsNames(), ProductsNames().front()));
}

}  // namespace bitsweep::engine
