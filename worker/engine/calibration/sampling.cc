#include "worker/engine/calibration/sampling.h"

#include <algorithm>

#include "worker/engine/calibration/documents.h"
#include "worker/engine/checkpoint/sha256.h"
#include "worker/engine/error.h"
#include "worker/engine/keyed_random.h"

namespace bitsweep::engine {
namespace {

using Sequence = std::vector<std::int64_t>;

// Streams of random numbers; the values are part of the `quantize` semantics.
enum Purpose : std::uint64_t {
  kDocuments = 101,
  kSplit = 102
};

std::string Count(std::int64_t n) {
  return std::to_string(n);
}

Sequence EncodeDocument(const Tokenizer& tokenizer, const std::string& text) {
  Sequence ids;
  if (tokenizer.bos_id() >= 0) {
    ids.push_back(tokenizer.bos_id());
  }
  const Sequence body = tokenizer.Encode(text);
  ids.insert(ids.end(), body.begin(), body.end());
  return ids;
}

// Joins documents in a random order until there are enough tokens, then cuts.
std::vector<Sequence> Pack(const CalibrationPart& part,
                           std::int64_t length,
                           const Tokenizer& tokenizer,
                           KeyedRandom random) {
  const std::vector<std::string> documents = ReadDocuments(part.file);
  const std::int64_t needed = part.sequences * length;
  Sequence stream;
  std::int64_t used = 0;
  std::int64_t left_out = 0;
  for (const std::int32_t at : random.Permutation(static_cast<std::int64_t>(documents.size()))) {
    const Sequence ids = EncodeDocument(tokenizer, documents[static_cast<std::size_t>(at)]);
    if (static_cast<std::int64_t>(ids.size()) < part.min_tokens) {
      ++left_out;
      continue;
    }
    ++used;
    stream.insert(stream.end(), ids.begin(), ids.end());
    if (tokenizer.eos_id() >= 0) {
      stream.push_back(tokenizer.eos_id());
    }
    if (static_cast<std::int64_t>(stream.size()) >= needed) {
      break;
    }
  }
  const auto found = static_cast<std::int64_t>(stream.size());
  if (found < needed) {
    ThrowBadInput(part.file + ": too short: found " + Count(found) + " tokens in " + Count(used) +
                  " documents" +
                  (left_out > 0 ? " (" + Count(left_out) + " more are shorter than min_tokens " +
                                      Count(part.min_tokens) + ")"
                                : "") +
                  ", need " + Count(needed) + " (" + Count(part.sequences) + " sequences x " +
                  Count(length) + " tokens); give more text, or at most " + Count(found / length) +
                  " sequences, or a smaller sequence_length");
  }
  std::vector<Sequence> windows;
  for (std::int64_t i = 0; i < part.sequences; ++i) {
    windows.emplace_back(stream.begin() + i * length, stream.begin() + (i + 1) * length);
  }
  return windows;
}

[[noreturn]] void RefuseTooFew(const CalibrationPart& part,
                               std::int64_t length,
                               std::int64_t found,
                               const std::vector<std::int64_t>& lengths) {
  const std::int64_t longer_than = std::max(length, part.min_tokens - 1);
  std::int64_t tokens = 0;
  std::int64_t usable = 0;
  std::int64_t longest = 0;
  for (const std::int64_t n : lengths) {
    tokens += n;
    usable += n > longer_than ? n : 0;
    longest = std::max(longest, n);
  }
  const bool is_first = part.window == WindowPolicy::kFirst;
  const std::string wanted = Count(part.sequences * length) + " (" + Count(part.sequences) +
                             " sequences x " + Count(length) + " tokens)";
  ThrowBadInput(
      part.file + ": too short: found " + Count(found) + " documents longer than " +
      Count(longer_than) + " tokens, with " + Count(usable) + " tokens together (of " +
      Count(static_cast<std::int64_t>(lengths.size())) + " documents, " + Count(tokens) +
      " tokens, the longest has " + Count(longest) + "), need " +
      (is_first ? Count(part.sequences) + " documents for " : std::string()) + wanted +
      " for window: " + WindowPolicyName(part.window) +
      "; give longer documents, fewer sequences, a smaller sequence_length, or window: pack");
}

// One window of each of `sequences` documents that are longer than the window. Documents are drawn
// without replacement; `random` reuses them (at new places) when every one has been drawn.
std::vector<Sequence> CutDocuments(const CalibrationPart& part,
                                   std::int64_t length,
                                   const Tokenizer& tokenizer,
                                   KeyedRandom random) {
  const std::vector<std::string> documents = ReadDocuments(part.file);
  const std::int64_t tokens_min = std::max(length + 1, part.min_tokens);
  std::vector<Sequence> windows;
  std::vector<Sequence> reusable;
  std::vector<std::int64_t> lengths;
  const auto cut = [&](const Sequence& ids) {
    const auto places = static_cast<std::uint64_t>(ids.size()) - static_cast<std::uint64_t>(length);
    const auto first = part.window == WindowPolicy::kRandom
                           ? static_cast<std::int64_t>(random.Below(places + 1))
                           : std::int64_t{0};
    windows.emplace_back(ids.begin() + first, ids.begin() + first + length);
  };
  std::int64_t fresh_tokens = 0;
  for (const std::int32_t at : random.Permutation(static_cast<std::int64_t>(documents.size()))) {
    if (static_cast<std::int64_t>(windows.size()) == part.sequences) {
      return windows;
    }
    Sequence ids = EncodeDocument(tokenizer, documents[static_cast<std::size_t>(at)]);
    lengths.push_back(static_cast<std::int64_t>(ids.size()));
    if (lengths.back() < tokens_min) {
      continue;
    }
    fresh_tokens += lengths.back();
    cut(ids);
    reusable.push_back(std::move(ids));
  }
  const auto found = static_cast<std::int64_t>(windows.size());
  // Windows may share a long document, but never add up to more text than there is.
  if (found < part.sequences &&
      (part.window == WindowPolicy::kFirst || fresh_tokens < part.sequences * length)) {
    RefuseTooFew(part, length, found, lengths);
  }
  while (static_cast<std::int64_t>(windows.size()) < part.sequences) {
    cut(reusable[random.Below(reusable.size())]);
  }
  return windows;
}

void CheckSpec(const CalibrationSpec& spec) {
  if (spec.parts.empty()) {
    ThrowBadInput("calibration: has no parts, want at least one file");
  }
  if (spec.sequence_length < 1) {
    ThrowBadInput("calibration: sequence_length is " + Count(spec.sequence_length) +
                  ", want at least 1");
  }
  std::int64_t total = 0;
  for (const CalibrationPart& part : spec.parts) {
    if (part.sequences < 1) {
      ThrowBadInput("calibration: " + part.file + ": sequences is " + Count(part.sequences) +
                    ", want at least 1");
    }
    total += part.sequences;
  }
  if (spec.validation < 0 || spec.validation >= total) {
    ThrowBadInput("calibration: validation is " + Count(spec.validation) +
                  ", want 0 to one less than the " + Count(total) + " sequences");
  }
}

}  // namespace

const char* WindowPolicyName(WindowPolicy policy) {
  switch (policy) {
    case WindowPolicy::kRandom:
      return "random";
    case WindowPolicy::kFirst:
      return "first";
    case WindowPolicy::kPack:
      return "pack";
  }
  return "unknown";
}

WindowPolicy ParseWindowPolicy(const std::string& name) {
  for (const WindowPolicy policy :
       {WindowPolicy::kRandom, WindowPolicy::kFirst, WindowPolicy::kPack}) {
    if (name == WindowPolicyName(policy)) {
      return policy;
    }
  }
  ThrowBadInput("calibration: window is \"" + name + "\", want random, first or pack");
}

CalibrationSet SampleCalibration(const CalibrationSpec& spec,
                                 const Tokenizer& tokenizer,
                                 std::uint64_t seed) {
  CheckSpec(spec);
  std::vector<Sequence> all;
  for (std::size_t i = 0; i < spec.parts.size(); ++i) {
    const CalibrationPart& part = spec.parts[i];
    const KeyedRandom random({seed, kDocuments, i});
    std::vector<Sequence> windows =
        part.window == WindowPolicy::kPack
            ? Pack(part, spec.sequence_length, tokenizer, random)
            : CutDocuments(part, spec.sequence_length, tokenizer, random);
    std::move(windows.begin(), windows.end(), std::back_inserter(all));
  }
  CalibrationSet set;
  set.sequence_length = spec.sequence_length;
  KeyedRandom random({seed, kSplit});
  const auto total = static_cast<std::int64_t>(all.size());
  for (const std::int32_t at : random.Permutation(total)) {
    auto& side = static_cast<std::int64_t>(set.validation.size()) < spec.validation ? set.validation
                                                                                    : set.train;
    side.push_back(std::move(all[static_cast<std::size_t>(at)]));
  }
  set.digest = CalibrationDigest(set);
  return set;
}

std::string CalibrationDigest(const CalibrationSet& set) {
  Sha256 sha;
  const auto add = [&sha](std::int64_t value) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; ++i) {
      bytes[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(value) >> (8 * i));
    }
    sha.Update(bytes, sizeof(bytes));
  };
  add(static_cast<std::int64_t>(set.train.size()));
  add(static_cast<std::int64_t>(set.validation.size()));
  add(set.sequence_length);
  for (const auto* side : {&set.train, &set.validation}) {
    for (const Sequence& sequence : *side) {
      std::for_each(sequence.begin(), sequence.end(), add);
    }
  }
  return sha.HexDigest();
}

}  // namespace bitsweep::engine
