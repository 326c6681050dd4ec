// What the products with a block's linears are computed in while they are trained, forwards and
// backwards; everything else, the master values among it, is f32. Thread rule: plain values and pure
// functions.
#pragma once

#include <string>
#include <vector>

#include "worker/engine/strict_object.h"

namespace bitsweep::engine {

enum class Products {
  kF32,  // What the study computes in.
  kBf16
};

/// The spellings, in the order of Products.
const std::vector<std::string>& ProductsNames();
/// Of one of them.
Products ProductsOf(const std::string& name);
const std::string& NameOf(Products products);

/// Member "products"; f32 where it is absent. Throws kBadInput on another spelling.
Products ReadProducts(StrictObject& method);

}  // namespace bitsweep::engine
