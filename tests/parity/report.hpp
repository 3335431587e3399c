// SPDX-License-Identifier: BSL-1.0
// What was compared with a file of reference values, and how far off it was.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dew/core/safetensors.hpp"

namespace dew::parity {

/// A file of reference values under its name without ending.
struct File {
  std::string name;
  std::map<std::string, Tensor> tensors;
  nlohmann::json config, expected, cuts;

  Tensor const& operator[](std::string const& tensor) const {
    auto const at = tensors.find(tensor);
    check(at != tensors.end(), ErrorKind::input, "{}: holds no tensor '{}'", name, tensor);
    return at->second;
  }
  bool has(std::string const& tensor) const { return tensors.contains(tensor); }
};

/// Collects comparisons of one file. A value agrees when it differs by at most 1e-4 of the largest value of its tensor, a gradient by 1e-3, a
/// label or an index not at all.
class Report {
 public:
  void value(std::string const& what, Tensor const& got, Tensor const& expected) { compare(what, got, expected, 1e-4, worst_value_); }
  void gradient(std::string const& what, Tensor const& got, Tensor const& expected) { compare(what, got, expected, 1e-3, worst_gradient_); }
  void number(std::string const& what, double got, double expected) {
    value(what, at::full({1}, got, at::kDouble), at::full({1}, expected, at::kDouble));
  }
  void figure(std::string const& what, double got, nlohmann::json const& expected) {
    if (!expected.is_null()) return number(what, got, expected.get<double>());
    ++values_;
    if (!std::isnan(got)) problems_.push_back(fmt::format("{}: expected undefined, got {}", what, got));
  }
  void equal(std::string const& what, Tensor const& got, Tensor const& expected) {
    values_ += expected.numel();
    if (got.sizes() != expected.sizes() || !at::equal(got.to(expected.scalar_type()), expected))
      problems_.push_back(fmt::format("{}: not equal", what));
  }

  std::int64_t values() const { return values_; }
  double worst_value() const { return worst_value_; }
  double worst_gradient() const { return worst_gradient_; }
  std::vector<std::string> const& problems() const { return problems_; }

 private:
  void compare(std::string const& what, Tensor const& got, Tensor const& expected, double tolerance, double& worst) {
    values_ += expected.numel();
    if (!got.defined() || got.numel() != expected.numel()) {
      problems_.push_back(
          fmt::format("{}: expected shape {}, got {}", what, shape_text(expected), got.defined() ? shape_text(got) : "nothing"));
      return;
    }
    if (expected.numel() == 0) return;
    auto const g = got.detach().flatten().to(at::kDouble), e = expected.flatten().to(at::kDouble);
    double const scale = e.abs().max().item<double>(), difference = (g - e).abs().max().item<double>();
    double const relative = scale > 0 ? difference / scale : difference;
    worst = std::max(worst, std::isnan(relative) ? HUGE_VAL : relative);
    if (!(relative <= tolerance)) problems_.push_back(fmt::format("{}: off by {:.2e} of the largest value {:.4g}", what, relative, scale));
  }

  std::int64_t values_ = 0;
  double worst_value_ = 0, worst_gradient_ = 0;
  std::vector<std::string> problems_;
};

/// A way of reading files: the files that it reads, and the comparison.
struct Reader {
  std::function<bool(File const&)> reads;
  std::function<void(File const&, Report&)> compare;
};
std::vector<Reader> model_readers();
std::vector<Reader> loss_readers();
std::vector<Reader> other_readers();

inline Reader of_type(std::string type, std::function<void(File const&, Report&)> compare) {
  return {[type](File const& file) { return file.config.value("type", "") == type; }, std::move(compare)};
}
inline Reader of_name(std::string beginning, std::function<void(File const&, Report&)> compare) {
  return {[beginning](File const& file) { return file.name.starts_with(beginning); }, std::move(compare)};
}

}  // namespace dew::parity
