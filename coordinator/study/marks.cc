#include "coordinator/study/marks.h"

#include <cmath>

namespace bitsweep {

std::string_view ToString(Arrow arrow) {
  switch (arrow) {
    case Arrow::kUp:
      return "up";
    case Arrow::kDown:
      return "down";
    case Arrow::kTie:
      return "tie";
  }
  return "";
}

std::string_view ArrowSign(Arrow arrow) {
  switch (arrow) {
    case Arrow::kUp:
      return "\u25b2";
    case Arrow::kDown:
      return "\u25bc";
    case Arrow::kTie:
      return "=";
  }
  return "";
}

Arrow ArrowOf(double value, double reference) {
  constexpr double kRoundingNoise = 1e-12;
  const double difference = value - reference;
  return difference > kRoundingNoise    ? Arrow::kUp
         : difference < -kRoundingNoise ? Arrow::kDown
                                        : Arrow::kTie;
}

std::optional<double> DecPercent(double value, double reference) {
  return reference > 0 ? std::optional(100 * (value - reference) / reference) : std::nullopt;
}

double OneDecimal(double value) {
  constexpr double kRoundingNoise = 1e-9;
  const double tenths = std::floor(std::abs(value) * 10 + 0.5 + kRoundingNoise);
  return tenths == 0 ? 0 : std::copysign(tenths / 10, value);
}

double AsPrinted(double fraction) {
  return OneDecimal(100 * fraction) / 100;
}

}  // namespace bitsweep
