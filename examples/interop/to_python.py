#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""A trained run of find_tracks in Python: its weights as arrays, its networks as torch modules.

In a notebook:

    from to_python import Run, read_safetensors
    run = Run("tracking")                       # the run folder
    run.options["condenser.latent"]             # '12'
    run.tensors["condenser.beta_head.layers.0.weight"]
    event = read_safetensors("event000001000.safetensors")[0]      # see below
    out = run(event)                            # hit_features, edge_index, edge_features -> edge_score, latent, beta
    out["latent"].numpy()

The event is one that find_tracks wrote, with all its edges and hits:

    find_tracks export --run RUN --events DIR --select 1000 --out exported --score_cut.threshold 0 --orphan_mask.enabled false

In Python all products are of float32: where the run multiplies in bfloat16 the numbers agree to 2e-2 of the largest, else to 1e-4. Coordinates of hits that no edge of a high enough score touches are given too; find_tracks leaves such hits out where orphan_mask is on.

On the command line to_python.py RUN prints options and tensors, and to_python.py RUN --check EVENT.safetensors compares what the torch modules give
with what find_tracks wrote.
"""

import argparse
import functools
import json
import math
import os
import struct
import sys

import torch
from torch import nn

TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "BOOL": torch.bool}


def read_safetensors(path):
    """(tensors by name, metadata) of a .safetensors file."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        body = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = TYPES[entry["dtype"]]
        flat = torch.frombuffer(body[begin:end], dtype=kind) if end > begin else torch.empty(0, dtype=kind)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def mlp(tensors, name, final_relu=False):
    """The MLP whose weights are name.layers.0.weight, name.layers.2.weight, …"""
    numbers = sorted(int(n.split(".")[-2]) for n in tensors if n.startswith(f"{name}.layers.") and n.endswith(".weight"))
    layers = []
    for number in numbers:
        weight, bias = tensors[f"{name}.layers.{number}.weight"], tensors.get(f"{name}.layers.{number}.bias")
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        linear.weight.data = weight.clone()
        if bias is not None:
            linear.bias.data = bias.clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*(layers if final_relu else layers[:-1]))


def norm(tensors, name):
    layer = nn.LayerNorm(tensors[f"{name}.weight"].shape[0])
    layer.weight.data, layer.bias.data = tensors[f"{name}.weight"].clone(), tensors[f"{name}.bias"].clone()
    return layer


class Stack(nn.Module):
    """Interaction networks one after the other: kinds prenorm and skip1."""

    def __init__(self, tensors, name, kind, layers, alpha):
        super().__init__()
        if kind not in ("prenorm", "skip1"):
            raise NotImplementedError(f"stack kind '{kind}'")
        self.kind, self.alpha = kind, alpha
        self.messages = nn.ModuleList(mlp(tensors, f"{name}.layers.{i}.relational_model") for i in range(layers))
        self.updates = nn.ModuleList(mlp(tensors, f"{name}.layers.{i}.object_model") for i in range(layers))
        if kind == "prenorm":
            self.node_norms = nn.ModuleList(norm(tensors, f"{name}.node_norms.{i}") for i in range(layers))
            self.edge_norms = nn.ModuleList(norm(tensors, f"{name}.edge_norms.{i}") for i in range(layers))

    def forward(self, x, edge_index, e):
        source, target = edge_index
        collected = [e]
        degree = torch.zeros(len(x)).index_add(0, target, torch.ones(len(target))).clamp_min(1)
        for i, (message, update) in enumerate(zip(self.messages, self.updates)):
            if self.kind == "prenorm":
                n, m = self.node_norms[i](x), self.edge_norms[i](e)
            else:
                n, m = (x, e) if i == 0 else (torch.relu(x), torch.relu(e))
            e_new = message(torch.cat([n[target], n[source], m], 1))
            e = e + e_new if self.kind == "prenorm" else e_new
            total = torch.zeros(len(x), e.shape[1]).index_add(0, target, e)
            if self.kind == "prenorm":
                x = x + update(torch.cat([n, total / degree.sqrt().unsqueeze(1)], 1))
            else:
                x_new = update(torch.cat([n, total], 1))
                x = math.sqrt(self.alpha) * x + math.sqrt(1 - self.alpha) * x_new if self.alpha else x_new
            collected.append(e)
        return x, collected


class NormalisedEncoder(nn.Module):
    """The condenser's encoder = reference: rows of unit length, two linear layers, ReLU."""

    def __init__(self, tensors, name):
        super().__init__()
        self.first, self.second = nn.Parameter(tensors[f"{name}.encoder.weight"].clone()), nn.Parameter(tensors[f"{name}.decoder.weight"].clone())

    def forward(self, x):
        x = nn.functional.normalize(x, dim=1)
        return torch.relu(torch.relu(x @ self.first.T) @ self.second.T)


class Part(nn.Module):
    def __init__(self, run, stage):
        super().__init__()
        if stage not in run.stages:
            raise ValueError(f"this run has no stage '{stage}', but {', '.join(run.stages)}")
        self.options = {path.split(".", 1)[1]: value for path, value in run.options.items() if path.startswith(stage + ".")}
        reference = self.get("encoder") == "reference"
        self.edges = mlp(run.tensors, f"{stage}.edge_encoder", final_relu=reference)
        if f"{stage}.node_encoder.encoder.weight" in run.tensors:
            self.nodes = NormalisedEncoder(run.tensors, f"{stage}.node_encoder")
        elif f"{stage}.node_encoder.layers.0.weight" in run.tensors:
            self.nodes = mlp(run.tensors, f"{stage}.node_encoder", final_relu=reference)
        else:
            raise NotImplementedError(f"{stage}: an encoder of two detectors")
        self.stack = Stack(run.tensors, f"{stage}.stack", self.get("stack"), int(self.get("layers")), float(self.get("alpha")))


    def get(self, option):
        return self.options[option]


class EdgeClassifier(Part):
    """edge_score [E] of hit_features [N, f], edge_index [2, E], edge_features [E, g]."""

    def __init__(self, run):
        super().__init__(run, "edge_classifier")
        self.head = mlp(run.tensors, "edge_classifier.head")

    def forward(self, x, edge_index, e):
        """Scores, and the last embeddings of nodes and edges."""
        x, collected = self.stack(self.nodes(x), edge_index, self.edges(e))
        inputs = [x[edge_index[0]], x[edge_index[1]]] if self.get("head_nodes") == "true" else []
        inputs += collected if self.get("head") == "all" else collected[-1:]
        return 0.001 + 0.998 * torch.sigmoid(self.head(torch.cat(inputs, 1))).squeeze(1), x, collected[-1]


class Condenser(Part):
    """latent [N, d], beta [N] of hit_features, edge_index, edge_features, edge_score."""

    def __init__(self, run):
        super().__init__(run, "condenser")
        if float(run.options["condenser.coordinate_share"]):
            raise NotImplementedError("condenser.coordinate_share")
        self.beta, self.latent = mlp(run.tensors, "condenser.beta_head"), mlp(run.tensors, "condenser.latent_head")
        self.scale = nn.Parameter(run.tensors["condenser.latent_scale"].clone())
        self.smoothing = int(self.get("smoothing"))
        if self.smoothing:
            self.gate = mlp(run.tensors, "condenser.gate_head")
        embeds = run.options.get("edge_classifier.embeddings") == "true"  # without them there is nothing to read
        self.node_embedding, self.edge_embedding = (embeds and self.get(f"{of}_embedding") != "never" for of in ("node", "edge"))

    def forward(self, x, edge_index, e, w, node_embedding, edge_embedding):
        if self.node_embedding:
            x = torch.cat([x, node_embedding], 1)
        if self.edge_embedding:
            e = torch.cat([e, edge_embedding], 1)
        kept = w > float(self.get("score_min")) if float(self.get("score_min")) > 0 else torch.ones_like(w, dtype=torch.bool)
        edge_index, e, w = edge_index[:, kept], e[kept], w[kept]
        logit = torch.logit(w.clamp(1e-6, 1 - 1e-6)).unsqueeze(1)
        if self.get("score") != "never":
            e = torch.cat([e, w.unsqueeze(1)], 1)
            if self.get("score_logit") == "true":
                e = torch.cat([e, logit / 3], 1)
        x, edges = self.stack(self.nodes(x), edge_index, self.edges(e))
        latent = self.latent(x)
        if self.smoothing:
            gate = torch.sigmoid(self.gate(edges[-1]) + (logit if self.get("score") != "never" else 0))
            source, target = edge_index
            weight = torch.ones(len(x), 1).index_add(0, target, gate)
            for _ in range(self.smoothing):
                latent = latent.index_add(0, target, gate * latent[source]) / weight
        return self.scale * latent, 1e-6 + (1 - 2e-6) * torch.sigmoid(self.beta(x)).squeeze(1)


class Run:
    """A run folder, or a model.safetensors file."""

    def __init__(self, path):
        file = os.path.join(path, "model.safetensors") if os.path.isdir(path) else path
        self.tensors, metadata = read_safetensors(file)
        if "dew.options" not in metadata:
            raise ValueError(f"{file}: is no checkpoint of dew")
        self.options = {path: value.strip('"') for path, value in json.loads(metadata["dew.options"]).items()}
        self.stages = json.loads(metadata["dew.stages"])

    @functools.cached_property
    def edge_classifier(self):
        return EdgeClassifier(self)

    @functools.cached_property
    def condenser(self):
        return Condenser(self)

    def __call__(self, event, threshold=None):
        """edge_score, latent and beta of an event that find_tracks export wrote. `threshold`: another cut on scores than the run's."""
        x, edge_index, e = event["hit_features"], event["edge_index"], event["edge_features"]
        with torch.no_grad():
            w, node, edge = self.edge_classifier(x, edge_index, e)
            kept = w > float(self.options.get("score_cut.threshold", 0) if threshold is None else threshold)
            latent, beta = self.condenser(x, edge_index[:, kept], e[kept], w[kept], node, edge[kept])
        return {"edge_score": w, "latent": latent, "beta": beta}


def check(run, path):
    """The largest difference of what Python and find_tracks give for an exported event."""
    event, _ = read_safetensors(path)
    worst = 0.0
    for name, tensor in run(event, threshold=0).items():  # as the event was exported
        if tensor.shape != event[name].shape:
            raise ValueError(f"{name}: {tuple(tensor.shape)} here, {tuple(event[name].shape)} there")
        scale = event[name].abs().max().item() if tensor.numel() else 0.0
        difference = (tensor - event[name]).abs().max().item() / (scale or 1) if tensor.numel() else 0.0
        print(f"{name:<12} {str(tuple(tensor.shape)):<16} largest difference {difference:.1e} of the largest value")
        if not difference <= worst:  # NaN too
            worst = difference
    return worst


def tolerance(run):
    """How far, relative to the largest value, Python may be from find_tracks: 8 bits of precision where products are in bfloat16."""
    return 2e-2 if any(name.endswith(".products") and "bfloat16" in value for name, value in run.options.items()) else 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder or model.safetensors")
    parser.add_argument("--check", metavar="EVENT", help="an event that find_tracks export wrote with this run")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    if arguments.check:
        return 0 if check(run, arguments.check) < tolerance(run) else 1
    for option, value in run.options.items():
        print(f"{option} = {value}")
    for name, tensor in run.tensors.items():
        print(f"{name:<60} {tuple(tensor.shape)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
