// SPDX-License-Identifier: BSL-1.0
// Two terms of one name in a sum: their options would have one path.
// expect: two_losses_of_this_sum_have_one_name_so_give_one_another_with_named<dew::Coward>
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/sum.hpp"

int main() {
  using namespace dew;
#ifdef CORRECTED
  auto const sum = Coward{} + 0.5 * named<"far">(Coward{});
#else
  auto const sum = Coward{} + 0.5 * Coward{};
#endif
  return int(std::tuple_size_v<decltype(sum.terms)>);
}
