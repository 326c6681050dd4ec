// How a figure is set against its reference: the arrow, the study's Dec (%), and the rounding that
// print does. One definition for tables, statistics and the comparison with the published figures,
// so that they cannot disagree. Figures are pass@1 as fractions in [0, 1]. Pure free functions: any
// thread.
#pragma once

#include <optional>
#include <string_view>

namespace bitsweep {

/// Which way a figure lies from the one that it is compared with.
enum class Arrow {
  kUp,
  kDown,
  kTie,
};

/// "up", "down", "tie": what programs read.
std::string_view ToString(Arrow arrow);

/// The sign that people read: "\u25b2", "\u25bc", "=".
std::string_view ArrowSign(Arrow arrow);

/// kTie within 1e-12: sums of fractions such as 1/60 differ in the last bits where the counts of
/// passes are the same.
Arrow ArrowOf(double value, double reference);

/// 100 * (value - reference) / reference (study, section 5); nullopt where the reference is 0.
/// Negative means worse. Unrounded; print it through OneDecimal.
std::optional<double> DecPercent(double value, double reference);

/// Half away from zero to one decimal, and never -0. What is within 1e-9 of a half is one: 100 *
/// 0.0125 prints as 1.3 whatever its last bits.
double OneDecimal(double value);

/// A fraction as its percentage prints, to one decimal: 0.29812 -> 0.298. The study computed Dec
/// (%) and arrows from figures rounded like this; ours come from unrounded ones unless a caller
/// asks for the study's.
double AsPrinted(double fraction);

}  // namespace bitsweep
