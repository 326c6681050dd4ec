// A cell of the study: one model variant x one benchmark x one language x one seed, and the stages that make its number.
// Plain values: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/base/ids.h"
#include "proto/contract/stage.h"

namespace bitsweep {

/// Cells are normalised before they are made: fp16 has calibration "none" and finetuned "none".
struct CellDefinition {
  std::string id;           // 16 hexadecimal digits of SHA-256 over the coordinates below; unique within a sweep.
  std::string model, family, params;
  std::string precision;    // The sweep file's label, or "fp16".
  std::string calibration;  // The sweep file's name, or "none".
  std::string finetuned;    // The sweep file's name, or "none".
  std::string benchmark, language;
  std::int64_t seed = 0;    // As in the sweep file's `seeds`.
  int problems = 0;
  int samples = 0;
  std::vector<std::string> questions;  // Names of the questions that ask for this cell, in the file's order.
  // The chain. All but `inspect` are empty until the model's identity is known; quantize and finetune stay empty where the variant has none.
  StageKey inspect;
  std::optional<StageKey> quantize, finetune, generate, grade;
};

/// What a sweep (or the part of it that has just become plannable) consists of.
struct SweepPlan {
  std::vector<CellDefinition> cells;
  std::vector<StageDefinition> stages;  // Upstream before downstream; each key once.
};

/// The identity of a model as an `inspect` stage reports it (proto/README.md).
struct ModelManifest {
  std::string digest;          // SHA-256 of the canonical file list
  std::string config_json;     // config.json
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;      // of the weights files
};

}  // namespace bitsweep
