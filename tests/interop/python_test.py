# SPDX-License-Identifier: BSL-1.0
"""Tests of examples/interop: python_test.py from_lightning|to_python FIND_TRACKS SCRATCH. Needs PyTorch; skipped where there is none."""

import json
import math
import os
import shutil
import subprocess
import sys

try:
    import torch
    from torch import nn
except ImportError as problem:
    if os.environ.get("DEW_PYTHON_REQUIRED"):
        raise
    print(f"[skipped] no PyTorch for this Python: {problem}")
    sys.exit(0)

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "interop")
sys.path.insert(0, EXAMPLES)
from to_python import Run, check, read_safetensors, tolerance  # noqa: E402


# ---- gnn_tracking's layout in plain PyTorch, written from the definitions of its parts ----------------------------------------------------------------
class MLP(nn.Module):
    def __init__(self, inputs, outputs, hidden, layers, bias=True):
        super().__init__()
        widths = [inputs] + [hidden] * (layers - 1) + [outputs]
        parts = []
        for i in range(layers):
            parts += [nn.Linear(widths[i], widths[i + 1], bias=bias), nn.ReLU()]
        self.layers = nn.ModuleList(parts[:-1])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Interaction(nn.Module):
    def __init__(self, node, edge, hidden):
        super().__init__()
        self.relational_model = MLP(2 * node + edge, edge, hidden, 3)
        self.object_model = MLP(node + edge, node, hidden, 3)

    def forward(self, x, edges, e):
        e = self.relational_model(torch.cat([x[edges[1]], x[edges[0]], e], 1))
        total = torch.zeros(len(x), e.shape[1]).index_add(0, edges[1], e)
        return self.object_model(torch.cat([x, total], 1)), e


class Skip1(nn.Module):
    def __init__(self, node, edge, hidden, layers, alpha):
        super().__init__()
        self.network = nn.Module()
        self.network.layers = nn.ModuleList(Interaction(node, edge, hidden) for _ in range(layers))
        self.alpha = alpha

    def forward(self, x, edges, e):
        collected = [e]
        for i, layer in enumerate(self.network.layers):
            new, e = layer(x, edges, e) if i == 0 else layer(torch.relu(x), edges, torch.relu(e))
            x = math.sqrt(self.alpha) * x + math.sqrt(1 - self.alpha) * new
            collected.append(e)
        return x, collected


class Encoder(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self._encoder, self._decoder = nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False)
        self._layers = nn.ModuleList()

    def forward(self, x):
        return self._decoder(torch.relu(self._encoder(nn.functional.normalize(x, dim=1))))


class Classifier(nn.Module):
    def __init__(self, node, edge, hidden, layers, features):
        super().__init__()
        self.ec_node_encoder, self.ec_edge_encoder = MLP(features, node, hidden, 2, bias=False), MLP(4, edge, hidden, 2, bias=False)
        self.ec_resin = Skip1(node, edge, hidden, layers, 0.5)
        self.W = MLP(2 * node + (layers + 1) * edge, 1, hidden, 3)

    def forward(self, x, edges, e):
        x, collected = self.ec_resin(torch.relu(self.ec_node_encoder(x)), edges, torch.relu(self.ec_edge_encoder(e)))
        w = self.W(torch.cat([x[edges[0]], x[edges[1]], *collected], 1)).squeeze(1)
        return 0.001 + 0.998 * torch.sigmoid(w), x, collected[-1]


class Condensation(nn.Module):
    def __init__(self, node, edge, hidden, layers, latent, threshold, feed, alpha, mask_orphan_nodes=False, features=6):
        super().__init__()
        self.mask_orphan_nodes = mask_orphan_nodes
        self.ec = Classifier(node, edge, hidden, layers, features)
        self.threshold, self.feed = threshold, feed
        self.hc_node_encoder = Encoder(features + (node if feed else 0), hidden, node)
        self.hc_edge_encoder = MLP(4 + (edge + 1 if feed else 0), edge, hidden, 2, bias=False)
        self.hc_in = Skip1(node, edge, hidden, layers, alpha)
        self.p_beta, self.p_cluster = MLP(node, 1, hidden, 3), MLP(node, latent, hidden, 3)
        self._latent_normalization = nn.Parameter(torch.tensor([1.7]))

    def forward(self, x, edges, e):
        w, node, edge = self.ec(x, edges, e)
        kept = w > self.threshold
        xs, es = (torch.cat([x, node], 1), torch.cat([e, edge, w.unsqueeze(1)], 1)) if self.feed else (x, e)
        edges, es, hits = edges[:, kept], es[kept], torch.arange(len(x))
        if self.mask_orphan_nodes:  # the hits of the edges that are left, renumbered
            hits, edges = edges.unique(return_inverse=True)
        h, _ = self.hc_in(torch.relu(self.hc_node_encoder(xs[hits])), edges, torch.relu(self.hc_edge_encoder(es)))
        beta = 1e-6 + (1 - 2e-6) * torch.sigmoid(self.p_beta(h)).squeeze(1)
        return {"edge_score": w, "latent": self._latent_normalization * self.p_cluster(h), "beta": beta, "original_row": hits}


# ---- the tests --------------------------------------------------------------------------------------------------------------------------------------
def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, f"{command}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def simulated(find_tracks, scratch, select="1-2"):
    events = os.path.join(scratch, "events")
    run(find_tracks, "simulate", "--out", events, "--select", select, "--particles", "200", "--quiet")
    return events


def convert(find_tracks, scratch, events, name, feed, wrap, threshold, mask=False, features=6, more=()):
    """A model, its checkpoint as a run, and an event exported with it."""
    torch.manual_seed(3)
    model = Condensation(node=8, edge=7, hidden=16, layers=2, latent=3, threshold=threshold, feed=feed, alpha=0.3, mask_orphan_nodes=mask, features=features)
    arguments = {"h_dim": 8, "e_dim": 7, "h_outdim": 3, "hidden_dim": 16, "feed_edge_weights": feed, "use_ec_embeddings_for_hc": feed, "ec_threshold": threshold, "mask_orphan_nodes": mask}
    arguments |= {"alpha_hc": 0.3} if feed else {"hc_in": {"class_path": "x.ResIN", "init_args": {"alpha": 0.3}}}
    checkpoint, folder, out = (os.path.join(scratch, f"{name}{ending}") for ending in (".ckpt", "", "_exported"))
    for old in (folder, out):
        shutil.rmtree(old, ignore_errors=True)
    state = {wrap + k: v for k, v in model.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"model": {"class_path": "x.GraphTCN", "init_args": arguments}}, "epoch": 3}, checkpoint)
    print(run(sys.executable, os.path.join(EXAMPLES, "from_lightning.py"), checkpoint, "--out", folder).strip())
    run(find_tracks, "export", "--run", folder, "--events", events, "--select", "1", "--out", out, "--quiet", *more)
    return model, checkpoint, folder, os.path.join(out, "event000000001.safetensors")


def converted(find_tracks, scratch, events, name, feed, wrap, select="1-2", **how):
    _, _, _, exported = convert(find_tracks, scratch, events, name, feed, wrap, 0.5, **how)
    threshold = round(read_safetensors(exported)[0]["edge_score"].median().item(), 4)  # a cut that cuts
    model, checkpoint, folder, exported = convert(find_tracks, scratch, events, name, feed, wrap, threshold, **how)
    event, _ = read_safetensors(exported)
    with torch.no_grad():
        expected = model(event["hit_features"], event["edge_index"], event["edge_features"])
    kept = (expected["edge_score"] > threshold).float().mean().item()
    assert 0.2 < kept < 0.8, f"the cut keeps {kept} of the edges, which tests nothing"
    for key, value in expected.items():
        difference = ((value - event[key]).abs().max() / value.abs().max()).item()
        print(f"{name}: {key} {tuple(value.shape)}: largest difference {difference:.1e} of the largest value")
        assert difference < 1e-4, key
    assert check(Run(folder), exported) < 1e-4  # and back to Python
    score = os.path.join(scratch, name + ".json")
    run(find_tracks, "evaluate", "--run", folder, "--events", events, "--select", select, "--json", score, "--quiet", *how.get("more", ()))
    assert "tracking.pt0.9.double_majority" in json.load(open(score))
    return checkpoint


def without_orphans(find_tracks, scratch, events, feed):
    """mask_orphan_nodes: hits without an edge above the cut are dropped in front of the condenser, and are in no track."""
    name = f"masked_{feed}"
    _, _, _, exported = convert(find_tracks, scratch, events, name, feed, "model.", 0.5)
    threshold = round(read_safetensors(exported)[0]["edge_score"].quantile(0.9).item(), 4)  # a cut that makes orphans
    model, _, folder, exported = convert(find_tracks, scratch, events, name, feed, "model.", threshold, mask=True)
    masked, whole = read_safetensors(exported)[0], os.path.join(scratch, "whole")
    shutil.rmtree(whole, ignore_errors=True)
    run(find_tracks, "export", "--run", folder, "--events", events, "--select", "1", "--out", whole, "--quiet", "--orphan_mask.enabled", "false")
    event, _ = read_safetensors(os.path.join(whole, "event000000001.safetensors"))
    with torch.no_grad():
        expected = model(event["hit_features"], event["edge_index"], event["edge_features"])
    hits = expected["original_row"]
    assert 0.2 < len(hits) / len(event["hit_id"]) < 0.8, f"the mask keeps {len(hits)} of {len(event['hit_id'])} hits, which tests nothing"
    assert torch.equal(masked["hit_id"], event["hit_id"][hits]) and torch.equal(masked["original_row"], hits)
    for key in ("latent", "beta"):
        difference = ((expected[key] - masked[key]).abs().max() / masked[key].abs().max()).item()
        print(f"{name}: {key} {tuple(masked[key].shape)}: largest difference {difference:.1e} of the largest value")
        assert difference < 1e-4, key
    tracks = os.path.join(scratch, "tracks")
    shutil.rmtree(tracks, ignore_errors=True)
    run(find_tracks, "run", "--run", folder, "--events", events, "--select", "1", "--out", tracks, "--quiet")
    rows = open(os.path.join(tracks, "event000000001-tracks.csv")).read().split()[1:]
    track = {int(hit): int(label) for hit, label in (row.split(",") for row in rows)}
    dropped = set(event["hit_id"].tolist()) - set(masked["hit_id"].tolist())
    assert len(track) == len(event["hit_id"]) and all(track[hit] == -1 for hit in dropped)
    assert [track[hit] for hit in masked["hit_id"].tolist()] == masked["label"].tolist()


def from_lightning(find_tracks, scratch):
    events = simulated(find_tracks, scratch)
    converted(find_tracks, scratch, events, "plain", False, "model.")
    checkpoint = converted(find_tracks, scratch, events, "fed_and_compiled", True, "model._orig_mod._gtcn.")
    recorded = os.path.join(os.environ.get("DEW_TEST_DATA", ""), "trackml")
    if os.path.isdir(os.path.join(recorded, "small")):
        more = ("--trackml.detectors", os.path.join(recorded, "detectors.csv.gz"))
        converted(find_tracks, scratch, os.path.join(recorded, "small"), "cells", True, "model.", select="1", features=14, more=more)
    else:
        print("a model of 14 hit features was not tried: no recorded event with cells (DEW_TEST_DATA)")
    for feed in (False, True):
        without_orphans(find_tracks, scratch, events, feed)
    script = os.path.join(EXAMPLES, "from_lightning.py")
    # what does not fit is a sentence, and nothing is written
    content = torch.load(checkpoint)
    content["state_dict"]["model.p_track_param.weight"] = torch.zeros(1)
    other, folder = os.path.join(scratch, "other.ckpt"), os.path.join(scratch, "other")
    torch.save(content, other)
    assert "belong to no part of dew: p_track_param.weight" in run(sys.executable, script, other, "--out", folder, status=1)
    open(other, "w").write("no checkpoint")
    assert "cannot be read" in run(sys.executable, script, other, "--out", folder, status=1)
    torch.save({"state_dict": torch.load(checkpoint)["state_dict"]}, other)
    assert "says nothing of the model's arguments" in run(sys.executable, script, other, "--out", folder, status=1)
    assert not os.path.exists(folder)
    # a network alone is no run: what to do with it is said
    for part, words in (("ec.", "load_reference<…> (EdgeClassifier)"), ("hc_node_encoder.", "EmbeddingNetwork or another one")):
        state = {"model." + n[n.index(part) + len(part):]: t for n, t in torch.load(checkpoint)["state_dict"].items() if part in n}
        torch.save({"state_dict": state}, other)
        problem = run(sys.executable, script, other, "--out", folder, status=1)
        assert "a single network, not of a run" in problem and words in problem, problem
    # a weight of another shape is refused by find_tracks, by name
    content = torch.load(checkpoint)
    name = next(n for n in content["state_dict"] if n.endswith("hc_in.network.layers.0.object_model.layers.2.weight"))
    content["state_dict"][name] = torch.zeros(5, 5)
    torch.save(content, other)
    run(sys.executable, script, other, "--out", folder)
    problem = run(find_tracks, "evaluate", "--run", folder, "--events", events, "--select", "1", "--quiet", status=1)
    assert "condenser.stack.layers.0.object_model.layers.2.weight [5, 5] instead of [16, 16]" in problem, problem


def to_python(find_tracks, scratch):
    events = simulated(find_tracks, scratch)
    for products, most in (("bfloat16", 2e-2), ("float32", 1e-4)):
        folder, out = os.path.join(scratch, products), os.path.join(scratch, f"exported_{products}")
        run(find_tracks, "train", "--events", events, "--train", "1", "--validate", "2", "--epochs", "2", "--out", folder, "--quiet", "--condenser.products", products)
        run(find_tracks, "export", "--run", folder, "--events", events, "--select", "2", "--out", out, "--score_cut.threshold", "0", "--orphan_mask.enabled", "false", "--quiet")
        event = os.path.join(out, "event000000002.safetensors")
        assert tolerance(Run(folder)) == most, products
        assert check(Run(folder), event) < most, products
    bent = Run(folder)
    bent.edge_classifier.head[0].weight.data = bent.edge_classifier.head[0].weight.data.roll(1, 1)
    assert check(bent, event) > 1e-3, "a bent network is noticed"
    assert "condenser.latent = " in run(sys.executable, os.path.join(EXAMPLES, "to_python.py"), folder)


if __name__ == "__main__":
    shutil.rmtree(sys.argv[3], ignore_errors=True)
    os.makedirs(sys.argv[3])
    {"from_lightning": from_lightning, "to_python": to_python}[sys.argv[1]](*sys.argv[2:])
