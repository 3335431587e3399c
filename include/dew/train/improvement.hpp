// SPDX-License-Identifier: BSL-1.0
// Whether a fit still improves: what early stopping, the plateau schedule and the best weights go by.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "dew/train/fit.hpp"

namespace dew {

namespace detail {
/// Numbers in JSON that come back bit for bit, infinite ones and NaN too.
inline nlohmann::json exact(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(to_text(value)); }
inline double exact(nlohmann::json const& j) {
  return j.is_string() ? from_text<double>({j.get<std::string>()}, "a checkpoint") : j.get<double>();
}
}  // namespace detail

/// What the validations of a fit have said so far. The watched figure is turned so that smaller is better. It stands in the checkpoint.
struct Improvement {
  double best = std::numeric_limits<double>::infinity();       ///< the best value
  double reference = std::numeric_limits<double>::infinity();  ///< the value at the last improvement that counted
  int validations_since = 0;                                   ///< how many validations ago that was
  int waited = 0;                                              ///< the same, counted from the last reduction of the learning rate too
  double reduced = 1;                                          ///< what `plateau` multiplies the learning rate with

  /// Takes a validation's figure; one that is not finite says nothing. True: it is the best so far, by however little.
  bool see(FitOptions const& o, double figure) {
    double const value = !o.watch.empty() && o.maximise ? -figure : figure;
    if (!std::isfinite(value)) return false;
    bool const is_best = value < best;
    if (is_best) best = value;
    if (value < reference - o.least_improvement) {
      reference = value;
      validations_since = waited = 0;
      return is_best;
    }
    ++validations_since;
    if (o.schedule == Schedule::plateau && ++waited >= o.plateau_patience) {
      reduced = std::max(o.final_rate, reduced * o.plateau_factor);
      waited = 0;
    }
    return is_best;
  }
  /// Whether the fit is to stop early.
  bool over(FitOptions const& o) const { return o.patience > 0 && validations_since >= o.patience; }

  nlohmann::json json() const {
    return {{"best", detail::exact(best)},
            {"reference", detail::exact(reference)},
            {"validations_since", validations_since},
            {"waited", waited},
            {"reduced", detail::exact(reduced)}};
  }
  static Improvement from(nlohmann::json const& j) {
    return {detail::exact(j.at("best")), detail::exact(j.at("reference")), j.at("validations_since").get<int>(), j.at("waited").get<int>(),
            detail::exact(j.at("reduced"))};
  }
  bool operator==(Improvement const&) const = default;
};

}  // namespace dew
