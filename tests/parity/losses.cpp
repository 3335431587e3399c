// SPDX-License-Identifier: BSL-1.0
// Losses against reference values: each term, the sum and its gradients.
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/loss/hinge_embedding.hpp"
#include "dew/loss/sum.hpp"
#include "parity/report.hpp"

namespace dew::parity {
namespace {

Tensor leaf(Tensor const& t) { return t.clone().requires_grad_(); }

/// Truth of the hits, and coordinates under `K`.
template <class K> auto hits_of(File const& file, Tensor const& x) {
  return Record{set<K>(x), key::particle_id = file["particle_id"], key::reconstructable = file["reconstructable"] != 0,
                key::pt = file["pt"], key::eta = file["eta"]};
}
void compare_terms(LossValue const& got, std::vector<std::string> const& terms, File const& file, Report& report) {
  for (std::size_t i = 0; i < terms.size(); ++i)
    report.number("term." + terms[i], got.terms[i].second, file["term." + terms[i]].item<double>());
  report.value("loss", got.total, file["loss"]);
  got.total.backward();
}

void condensation(File const& file, Report& report) {
  auto const& c = file.config;
  double const q_min = c.at("q_min"), pt_min = c.at("pt_thld"), eta_max = c.at("max_eta");
  double const repulsive = c.at("lw_repulsive"), coward = c.at("lw_coward"), noise = c.at("lw_noise");
  auto const x = leaf(file["x"]), beta = leaf(file["beta"]);
  auto const event = hits_of<Latent>(file, x).with(key::beta = beta);
  auto const loss = Attraction{{.pt_min_gev = pt_min, .eta_max = eta_max, .q_min = q_min, .norm = CondensationNorm::pairs}} +
                    repulsive * Repulsion{{.pt_min_gev = pt_min, .eta_max = eta_max, .q_min = q_min, .norm = CondensationNorm::pairs}} +
                    coward * Coward{{.pt_min_gev = pt_min, .eta_max = eta_max}} + noise * Noise{};
  compare_terms(evaluate(loss, event, {}), {"attractive", "repulsive", "coward", "noise"}, file, report);
  report.gradient("grad_x", x.grad(), file["grad_x"]);
  report.gradient("grad_beta", beta.grad(), file["grad_beta"]);
}

void hinge(File const& file, Report& report) {
  auto const& c = file.config;
  double const pt_min = c.at("pt_thld"), eta_max = c.at("max_eta"), repulsive = c.at("lw_repulsive");
  auto const x = leaf(file["x"]);
  auto const event = hits_of<HitEmbedding>(file, x).with(key::true_edge_index = file["true_edge_index"]);
  auto const norm = from_text<HingeNorm>({c.at("rep_normalization").get<std::string>()}, "rep_normalization");
  auto const loss = HingeAttraction{{.pt_min_gev = pt_min, .eta_max = eta_max, .power = c.at("p_attr")}} +
                    repulsive * HingeRepulsion{{.pt_min_gev = pt_min,
                                                .eta_max = eta_max,
                                                .radius = c.at("r_emb"),
                                                .power = c.at("p_rep"),
                                                .norm = norm,
                                                .rep_oi_only = c.value("rep_oi_only", true)}};
  compare_terms(evaluate(loss, event, {}), {"attractive", "repulsive"}, file, report);
  report.gradient("grad_x", x.grad(), file["grad_x"]);
}

template <class Loss> void edges(Loss const& loss, File const& file, Report& report) {
  auto const w = leaf(file["w"]);
  auto const event = Record{key::edge_score = w, key::edge_truth = file["y"] != 0, key::edge_index = file["edge_index"],
                            key::particle_id = at::ones({file["pt"].size(0)}, at::kLong), key::pt = file["pt"]};
  auto const got = loss(event);
  report.value("loss", got, file["loss"]);
  got.backward();
  report.gradient("grad_w", w.grad(), file["grad_w"]);
}
void bce(File const& file, Report& report) { edges(BinaryCrossEntropy{{.pt_min_gev = file.config.at("pt_thld")}}, file, report); }
void focal(File const& file, Report& report) {
  auto const& c = file.config;
  edges(
      FocalLoss{
          {.alpha = c.at("alpha"), .gamma = c.at("gamma"), .positive_weight = c.value("pos_weight", 1.0), .pt_min_gev = c.at("pt_thld")}},
      file, report);
}
void haughty_focal(File const& file, Report& report) {
  auto const& c = file.config;
  edges(HaughtyFocalLoss{{.alpha = c.at("alpha"), .gamma = c.at("gamma"), .pt_min_gev = c.at("pt_thld")}}, file, report);
}
}  // namespace

std::vector<Reader> loss_readers() {
  return {of_name("loss_condensation_", condensation), of_name("loss_hinge_", hinge), of_name("loss_edge_bce", bce),
          of_name("loss_edge_focal", focal), of_name("loss_edge_haughty_focal", haughty_focal)};
}

}  // namespace dew::parity
