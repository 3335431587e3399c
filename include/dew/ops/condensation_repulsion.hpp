// SPDX-License-Identifier: BSL-1.0
// The repulsive sum of object condensation without a hits × objects matrix: tiles on the CPU and on other devices, gradients in the same
// pass.
#pragma once
#include "dew/core/torch_nn.hpp"
#include "dew/ops/condensation.hpp"
#include "dew/ops/condensation_repulsion_impl.hpp"

namespace dew {

namespace detail {
/// Both gradients are made in the forward pass: they cost little beside the distances, and no pair is kept for the backward pass.
struct Repulsion : torch::autograd::Function<Repulsion> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor const& x, Tensor const& q, Tensor const& object,
                        Tensor const& alpha, Tensor const& hits, bool with_gradient) {
    auto made = x.device().is_cpu() ? repulsion_cpu(x, q, object, alpha, hits, with_gradient)
                                    : repulsion_tiled(x, q, object, alpha, hits, with_gradient);
    if (with_gradient) context->save_for_backward({made.grad_x, made.grad_q});
    return made.sum;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list const& gradient) {
    check(!at::GradMode::is_enabled(), "repulsion_sum: has no second derivative; use repulsion_sum_reference for that");
    auto const saved = context->get_saved_variables();
    return {saved[0] * gradient[0], saved[1] * gradient[0], {}, {}, {}, {}};
  }
};
}  // namespace detail

/// Σ_k Σ_{j ∈ hits, j ∉ k} q_j q_a(k) max(0, 1 − ‖x_j − x_a(k)‖): value and gradients of `repulsion_sum_reference`, memory O(N·d + K·d).
/// x [N, d], q [N] float or double, hits [M] rows of x → scalar.
///
/// On the CPU: tiles of 16 objects that are near each other, passed over by their boxes and rejected as soon as all distances
/// exceed 1; sums in double, the same bits for any number of threads. On other devices: tiles of hits in torch operations. Time
/// O(M·K·d) at worst.
inline Tensor repulsion_sum(Tensor const& x, Tensor const& q, CondensationObjects const& objects, Tensor const& hits) {
  check(x.dim() == 2 && q.dim() == 1 && q.size(0) == x.size(0) && objects.object.size(0) == x.size(0) && q.scalar_type() == x.scalar_type(),
        "repulsion_sum: expected x [N, d], q [N] of one dtype and objects of N hits, got {}, {} and {}", shape_text(x), shape_text(q),
        shape_text(objects.object));
  bool const with_gradient = at::GradMode::is_enabled() && (x.requires_grad() || q.requires_grad());
  return detail::Repulsion::apply(x, q, objects.object, objects.alpha, hits, with_gradient);
}

}  // namespace dew
