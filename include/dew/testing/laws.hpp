// SPDX-License-Identifier: BSL-1.0
// What all law suites share: options, the list of violations, results compared, gradients against finite differences.
#pragma once
#ifndef DOCTEST_VERSION
// LibTorch has macros of doctest's names, and the last definition counts: doctest comes after it.
#include <c10/util/Logging.h>
#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE
#include <doctest/doctest.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/torch_nn.hpp"
#include "dew/testing/sample.hpp"

namespace dew::testing {

/// The devices that are present: the CPU, and a CUDA device where there is one.
inline std::vector<at::Device> devices_present() {
  std::vector<at::Device> devices{at::kCPU};
  if (at::globalContext().hasCUDA()) devices.emplace_back(at::kCUDA, 0);
  return devices;
}

/// How a policy is put to the laws. The defaults fit all that dew ships.
struct LawOptions {
  SampleOptions sample = {};         ///< the events; `sample.seed` fixes them, `sample.values` fills keys of one's own
  bool needs_truth = false;          ///< the policy is meant to read the truth although it runs in a trained pipeline (an upper bound, say)
  double float_tolerance = 1e-3;     ///< float against double, and one device against another; relative to the largest value
  double tolerance = 1e-9;           ///< double against double in another order; relative to the largest value
  double gradient_tolerance = 1e-5;  ///< gradients against finite differences; relative to the largest gradient
  int gradient_samples = 12;         ///< values of each tensor whose gradient is compared
  std::vector<at::Device> devices = devices_present();
};

/// What a suite has found: a sentence for each law that was broken, "law: what", with the seed that shows it.
class Violations {
 public:
  /// `shown_by` says in every sentence how to see it again: "seed 1".
  explicit Violations(std::string shown_by) : shown_by_(std::move(shown_by)) {}
  explicit Violations(std::uint64_t seed) : Violations(fmt::format("seed {}", seed)) {}

  /// Runs a law; what it returns is what is wrong, "" for nothing. An exception is a violation too.
  template <class F>
  void law(std::string const& name, F&& what) {
    std::string wrong;
    try {
      wrong = what();
    } catch (std::exception const& e) { wrong = std::string("throws: ") + e.what(); }
    wrong = wrong.substr(0, wrong.find("\nException raised from"));  // LibTorch's backtrace
    if (!wrong.empty()) all_.push_back(name + ": " + wrong + (shown_by_.empty() ? "" : " (" + shown_by_ + ")"));
  }
  std::vector<std::string> take() && { return std::move(all_); }

 private:
  std::string shown_by_;
  std::vector<std::string> all_;
};

/// Fails the running doctest test case once for each violation.
inline void check_no_violations(std::string_view policy, std::vector<std::string> const& violations) {
  std::string const name(policy);
  DOCTEST_INFO("policy: " << name);
  for (auto const& violation : violations) {
    DOCTEST_INFO("law: " << violation.substr(0, violation.find(':')));
    DOCTEST_FAIL_CHECK(violation);
  }
  DOCTEST_CHECK(violations.empty());
}

/// A context on the device of a record.
template <class R>
Context context_for(R const& record, bool training = false, std::uint64_t seed = 7) {
  return {.training = training, .device = record.device(), .epoch = 1, .event = 3, .seed = seed};
}

namespace detail {
/// A tensor of a result with what its key says of it.
struct Column {
  std::string name, domain, points_into;
  Kind kind = Kind::real;
  int row_dim = 0;
  bool is_label = false;
  Tensor values;
};
using Columns = std::vector<Column>;

template <class... S>
Columns columns(Record<S...> const& record) {
  Columns out;
  record.for_each([&]<class K>(K, Tensor const& t) {
    out.push_back({std::string(K::name), std::string(K::Domain::name), std::string(K::PointsInto::name), K::kind, K::row_dim,
                   std::same_as<K, Label>, t.detach()});
  });
  return out;
}

/// What is different between two tensors, "" for nothing. Reals may differ by `tolerance` of the largest value, NaN equals NaN.
inline std::string difference(std::string const& name, Tensor const& got, Tensor const& expected, double tolerance) {
  if (got.sizes() != expected.sizes()) return fmt::format("{} is {}, expected {}", name, shape_text(got), shape_text(expected));
  if (got.numel() == 0) return "";
  if (!expected.is_floating_point() || !got.is_floating_point()) {
    auto const unequal = (got.to(at::kCPU) != expected.to(at::kCPU)).sum().item<std::int64_t>();
    return unequal == 0 ? "" : fmt::format("{} differs in {} of {} values", name, unequal, got.numel());
  }
  auto const a = got.to(at::kCPU, at::kDouble), b = expected.to(at::kCPU, at::kDouble);
  auto const both_nan = at::logical_and(at::isnan(a), at::isnan(b));
  auto const apart = at::where(at::logical_or(both_nan, a == b), at::zeros_like(a), (a - b).abs());
  auto const largest = at::where(at::isfinite(b), b.abs(), at::zeros_like(b)).max().item<double>();
  auto const worst = apart.max().item<double>();
  return worst <= tolerance * std::max(1.0, largest)
             ? ""
             : fmt::format("{} differs by {:.3g}, where values go up to {:.3g}", name, worst, largest);
}

/// Labels as a partition of the hits: each label replaced by the first row that has it, −1 kept.
inline Tensor first_rows(Tensor const& labels) {
  auto const on_cpu = labels.to(at::kCPU).contiguous();
  std::map<std::int64_t, std::int64_t> first;
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < on_cpu.size(0); ++i) {
    auto const label = on_cpu.const_data_ptr<std::int64_t>()[i];
    out.push_back(label < 0 ? label : first.emplace(label, i).first->second);
  }
  return at::tensor(out, at::kLong);
}

/// The rows of all columns of the edges as numbers, sorted: a set of edges with what is known of each.
inline Tensor sorted_edges(Columns const& result) {
  std::vector<Tensor> parts;
  for (auto const& column : result)
    if (column.domain == Edges::name) {
      auto const rows = column.values.to(at::kCPU, at::kDouble).movedim(column.row_dim, 0);
      parts.push_back(rows.reshape({rows.size(0), rows.size(0) > 0 ? -1 : 0}));
    }
  std::stable_sort(parts.begin(), parts.end(), [](auto const& a, auto const& b) { return (a.numel() > 0) > (b.numel() > 0); });
  auto const table = at::cat(parts, 1).contiguous();
  auto const width = table.size(1);
  std::vector<std::vector<double>> rows;
  for (std::int64_t i = 0; i < table.size(0); ++i)
    rows.emplace_back(table.const_data_ptr<double>() + i * width, table.const_data_ptr<double>() + (i + 1) * width);
  std::sort(rows.begin(), rows.end());
  std::vector<double> flat;
  for (auto const& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return at::tensor(flat, at::kDouble).reshape({table.size(0), width});
}

inline bool makes_edges(Columns const& result) {
  return std::any_of(result.begin(), result.end(), [](auto const& c) { return c.name == EdgeIndex::name; });
}

/// What is different between two results on one event, "" for nothing. Labels may have other names.
inline std::string difference(Columns const& got, Columns const& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    auto const& e = expected[i];
    auto const& g = got.at(i);
    auto wrong = e.is_label && g.values.sizes() == e.values.sizes() ? difference(g.name, first_rows(g.values), first_rows(e.values), 0)
                                                                    : difference(g.name, g.values, e.values, tolerance);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

/// Whether two results are equal to the last bit.
inline std::string bit_difference(Columns const& got, Columns const& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    auto const& a = got.at(i).values;
    auto const& b = expected[i].values;
    auto const same = a.is_floating_point() ? at::logical_or(a == b, at::logical_and(at::isnan(a), at::isnan(b))) : a == b;
    if (a.sizes() != b.sizes() || !same.all().item<bool>()) return expected[i].name + " is not the same";
  }
  return "";
}

/// What is different between the result on a reordered event and the result on the event itself.
inline std::string order_difference(Columns got, Columns expected, Order const& order, double tolerance) {
  bool const new_edges = makes_edges(expected);
  auto const rename = [](Tensor const& values, Tensor const& old_row) {  // rows of the new event as rows of the old one
    auto const on = old_row.to(values.device());
    if (values.numel() == 0) return values;
    return at::where(values >= 0, on.index_select(0, values.clamp_min(0).reshape(-1)).reshape(values.sizes()), values);
  };
  for (auto& column : got) {
    if (column.points_into == Hits::name) column.values = rename(column.values, order.hits);
    if (column.points_into == Edges::name) column.values = rename(column.values, order.edges);
  }
  for (auto& column : expected) {
    auto const device = column.values.device();
    if (column.domain == Hits::name) column.values = column.values.index_select(column.row_dim, order.hits.to(device));
    if (column.domain == Edges::name && !new_edges) column.values = column.values.index_select(column.row_dim, order.edges.to(device));
  }
  if (new_edges) {
    if (auto wrong = difference("the set of edges", sorted_edges(got), sorted_edges(expected), tolerance); !wrong.empty()) return wrong;
    auto const of_edges = [](Column const& c) { return c.domain == Edges::name; };
    std::erase_if(got, of_edges);
    std::erase_if(expected, of_edges);
  }
  return difference(got, expected, tolerance);
}

inline std::string not_finite(Columns const& result) {
  for (auto const& column : result)
    if (column.values.is_floating_point() && !at::isfinite(column.values).all().item<bool>()) return column.name + " is not finite";
  return "";
}

/// What is wrong with d f / d leaf [double], against central differences at some of its values; "" for nothing.
inline std::string gradient_difference(std::string const& name, Tensor const& leaf, std::function<Tensor()> const& f,
                                       LawOptions const& options) {
  auto const n = leaf.numel();
  if (n == 0) return "";
  leaf.mutable_grad() = Tensor();
  if (auto const value = f(); value.requires_grad()) value.backward();
  auto const gradient = leaf.grad().defined() ? leaf.grad().detach().reshape({-1}).to(at::kCPU).clone() : at::zeros({n}, at::kDouble);
  auto const values = leaf.detach().view({-1});
  at::NoGradGuard no_grad;
  constexpr double step = 1e-6;
  double const largest = std::max(1e-2, gradient.abs().max().item<double>());
  auto const stride = std::max<std::int64_t>(1, n / std::max(options.gradient_samples, 1));
  for (std::int64_t i = 0; i < n; i += stride) {
    double const before = values[i].item<double>(), analytic = gradient[i].item<double>();
    auto const at = [&](double x) {
      values[i].fill_(x);
      return f().item<double>();
    };
    double const above = at(before + step), below = at(before - step);
    values[i].fill_(before);
    double const numeric = (above - below) / (2 * step);
    if (!(std::abs(analytic - numeric) <= options.gradient_tolerance * largest + 1e-8))
      return fmt::format("d/d {}[{}] is {:.8g}, finite differences give {:.8g}", name, i, analytic, numeric);
  }
  return "";
}

/// The event with a copy of every real tensor of `Set` that requires a gradient.
template <class Set, class R>
R with_gradients(R const& event) {
  R out = event;
  event.for_each([&]<class K>(K, Tensor const& t) {
    if constexpr (Set::template has<K> && K::kind == Kind::real) out = R(out.with(dew::set<K>(t.detach().clone().requires_grad_(true))));
  });
  return out;
}

template <class R>
std::vector<Tensor> copies(R const& event) {
  std::vector<Tensor> out;
  event.for_each([&](auto const&, Tensor const& t) { out.push_back(t.detach().clone()); });
  return out;
}
/// The name of a tensor that is no longer what it was, "" for none.
template <class R>
std::string changed(R const& event, std::vector<Tensor> const& before) {
  std::string names;
  std::size_t i = 0;
  event.for_each([&]<class K>(K, Tensor const& t) {
    if (!at::equal(t, before[i++])) names += (names.empty() ? "" : ", ") + std::string(K::name);
  });
  return names.empty() ? "" : "changes " + names;
}

/// The keys that a policy is called with, in a record that holds no others: what it only may read is there too.
template <class P> using Wanted = UnionOf<ReadsOf<P>, MayReadOf<P>>;

inline std::int64_t row_of_a_track(Tensor const& particle_id) { return (particle_id > 0).nonzero()[0].item<std::int64_t>(); }
}  // namespace detail

/// Sets LibTorch's number of threads for a scope.
class Threads {
 public:
  explicit Threads(int n) : before_(at::get_num_threads()) { at::set_num_threads(n); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(Threads const&) = delete;
  Threads& operator=(Threads const&) = delete;

 private:
  int before_;
};

}  // namespace dew::testing
