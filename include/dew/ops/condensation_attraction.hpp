// SPDX-License-Identifier: BSL-1.0
// The attractive sum of object condensation in one pass over the hits, gradients with it.
// N hits, K objects, d latent dimension. Hits j, and the condensation hit a(k) of an object.
#pragma once
#include <cstdint>
#include <vector>

#include "dew/core/torch_nn.hpp"
#include "dew/ops/condensation.hpp"

namespace dew {

namespace detail {

struct AttractionResult {
  Tensor sum;             // scalar
  Tensor grad_x, grad_q;  // [N, d], [N]; undefined when they were not asked for
};

/// In double throughout: an object's condensation hit gathers a term from each of its hits. O(N·d) on one thread, which waits for no other.
template <class T>
AttractionResult attraction_cpu(Tensor const& x, Tensor const& q, Tensor const& object, Tensor const& alpha, bool with_gradient) {
  AttractionResult out;
  if (with_gradient) out.grad_x = at::zeros_like(x), out.grad_q = at::zeros_like(q);
  auto const n = object.size(0);
  auto const d = std::size_t(x.size(1));
  auto const* x_data = x.const_data_ptr<T>();
  auto const* q_data = q.const_data_ptr<T>();
  auto const* object_data = object.const_data_ptr<std::int64_t>();
  auto const* alpha_data = alpha.const_data_ptr<std::int64_t>();
  T* grad_x = with_gradient ? out.grad_x.template data_ptr<T>() : nullptr;
  T* grad_q = with_gradient ? out.grad_q.template data_ptr<T>() : nullptr;
  std::vector<double> to_centre(with_gradient ? std::size_t(alpha.size(0)) * (d + 1) : 0);  // [K, d + 1] the last column is q's
  double sum = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    auto const k = object_data[j];
    if (k < 0) continue;
    T const *hit = x_data + std::size_t(j) * d, *centre = x_data + std::size_t(alpha_data[k]) * d;
    double const q_hit = double(q_data[j]), q_centre = double(q_data[alpha_data[k]]);
    double square = 0;
    for (std::size_t c = 0; c < d; ++c) square += (double(hit[c]) - double(centre[c])) * (double(hit[c]) - double(centre[c]));
    sum += q_hit * q_centre * square;
    if (!with_gradient) continue;
    auto* gathered = to_centre.data() + std::size_t(k) * (d + 1);
    for (std::size_t c = 0; c < d; ++c) {
      double const g = 2 * q_hit * q_centre * (double(hit[c]) - double(centre[c]));
      grad_x[std::size_t(j) * d + c] = T(g);
      gathered[c] -= g;
    }
    grad_q[j] = T(q_centre * square);
    gathered[d] += q_hit * square;
  }
  for (std::size_t k = 0; with_gradient && k < std::size_t(alpha.size(0)); ++k) {
    auto const a = std::size_t(alpha_data[k]);  // its own terms are 0
    for (std::size_t c = 0; c < d; ++c) grad_x[a * d + c] += T(to_centre[k * (d + 1) + c]);
    grad_q[a] += T(to_centre[k * (d + 1) + d]);
  }
  out.sum = at::scalar_tensor(sum, x.options());
  return out;
}

/// Both gradients are made in the forward pass; a second derivative goes through torch operations.
struct AttractionSum : torch::autograd::Function<AttractionSum> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor const& x, Tensor const& q, Tensor const& object,
                        Tensor const& alpha, bool with_gradient) {
    auto const made_by = x.scalar_type() == at::kFloat ? attraction_cpu<float> : attraction_cpu<double>;
    auto made = made_by(x.contiguous(), q.contiguous(), object.contiguous(), alpha.contiguous(), with_gradient);
    if (with_gradient) context->save_for_backward({made.grad_x, made.grad_q, x, q, object, alpha});
    return made.sum;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list const& gradient) {
    auto const saved = context->get_saved_variables();
    if (!at::GradMode::is_enabled()) return {saved[0] * gradient[0], saved[1] * gradient[0], {}, {}, {}};
    auto const x = saved[2].view_as(saved[2]), q = saved[3].view_as(saved[3]);  // q may be made of x: the gradients are partial ones
    auto const sum = attraction_sum_reference(x, q, {saved[4], saved[5]});
    std::vector<Tensor> by;
    for (auto const& t : {x, q})
      if (t.requires_grad()) by.push_back(t);
    auto found = torch::autograd::grad({sum}, by, {gradient[0]}, std::nullopt, /*create_graph=*/true);
    if (!x.requires_grad()) found.insert(found.begin(), Tensor());
    found.resize(5);  // q's, where it wants one, and none of the rest
    return found;
  }
};
}  // namespace detail

/// Σ_k Σ_{j ∈ k} q_j q_a(k) ‖x_j − x_a(k)‖²: value and gradients of `attraction_sum_reference`, the second ones too. x [N, d], q [N] →
/// scalar. Time and memory O(N·d). On the CPU, for float and double, one pass with sums in double; otherwise the reference.
inline Tensor attraction_sum(Tensor const& x, Tensor const& q, CondensationObjects const& objects) {
  check(x.dim() == 2 && q.dim() == 1 && q.size(0) == x.size(0) && objects.object.size(0) == x.size(0) && q.scalar_type() == x.scalar_type(),
        "attraction_sum: expected x [N, d], q [N] of one dtype and objects of N hits, got {}, {} and {}", shape_text(x), shape_text(q),
        shape_text(objects.object));
  if (!x.device().is_cpu() || (x.scalar_type() != at::kFloat && x.scalar_type() != at::kDouble))
    return attraction_sum_reference(x, q, objects);
  bool const with_gradient = at::GradMode::is_enabled() && (x.requires_grad() || q.requires_grad());
  return detail::AttractionSum::apply(x, q, objects.object, objects.alpha, with_gradient);
}

}  // namespace dew
