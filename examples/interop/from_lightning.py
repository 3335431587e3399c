#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Turns a Lightning checkpoint of gnn_tracking into a run of find_tracks.

    from_lightning.py CHECKPOINT.ckpt --out RUN
    find_tracks evaluate --run RUN --events DIR --select 1-10

CHECKPOINT is of a track condensation network with its edge classifier (GraphTCN, or ModularGraphTCN with an ECForGraphTCN inside), also one whose
modules were compiled. RUN gets model.safetensors and config.toml. Needs PyTorch; gnn_tracking itself is not needed unless the checkpoint holds
objects of it (--trust, see below). Cuts of the graph and of the clusterer are not in a checkpoint: give them to evaluate
(--geometric_graph.phi_slope_max 0.005 --dbscan.eps 0.4 ...). A model of 14 hit features reads those of the cells: it needs --trackml.detectors
FILE as well.
"""

import argparse
import ctypes
import json
import os
import struct
import sys

import torch

# How gnn_tracking's parameter names begin, and dew's.
EDGE_CLASSIFIER = {
    "ec_node_encoder.": "node_encoder.",
    "ec_edge_encoder.": "edge_encoder.",
    "ec_resin.network._node_batch_norms.": "stack.node_norms.",
    "ec_resin.network._edge_batch_norms.": "stack.edge_norms.",
    "ec_resin.network.": "stack.",
    "W.": "head.",
}
CONDENSER = {
    "hc_node_encoder.pixel_fcnn._": "node_encoder.pixel.",
    "hc_node_encoder.strip_fcnn._": "node_encoder.strip.",
    "hc_node_encoder._": "node_encoder.",
    "hc_edge_encoder.": "edge_encoder.",
    "hc_in.network._node_batch_norms.": "stack.node_norms.",
    "hc_in.network._edge_batch_norms.": "stack.edge_norms.",
    "hc_in.network.": "stack.",
    "p_beta.": "beta_head.",
    "p_cluster.": "latent_head.",
    "_latent_normalization": "latent_scale",
}
HIT_FEATURES = {6: "standard", 14: "cells"}  # of find_tracks' events


class Unusable(Exception):
    """A sentence for the user."""


def read_checkpoint(path, trust):
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:
        hint = "" if trust else " If it holds objects and you trust where it comes from, say --trust (in an environment that has gnn_tracking)."
        raise Unusable(f"{path}: cannot be read as a checkpoint: {error}.{hint}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise Unusable(f"{path}: is no Lightning checkpoint: it has no 'state_dict'")
    return checkpoint


def bare(name):
    """Without what wraps a model: a compiled module's, a Lightning module's, GraphTCN's prefix."""
    name = name.replace("_orig_mod.", "")
    for wrapper in ("model.", "_gtcn."):
        name = name.removeprefix(wrapper)
    return name


def renamed(state):
    """dew's names of all parameters; what belongs to no stage is an error."""
    tensors, unknown = {}, []
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        name = bare(name)
        stage, names, rest = ("edge_classifier", EDGE_CLASSIFIER, name[3:]) if name.startswith("ec.") else ("condenser", CONDENSER, name)
        beginning = next((b for b in names if rest.startswith(b)), None)
        if beginning is None:
            unknown.append(name)
        else:
            tensors[f"{stage}.{names[beginning]}{rest[len(beginning):]}"] = tensor.detach().to(torch.float32 if tensor.is_floating_point() else tensor.dtype)
    if unknown and not any(n.startswith("ec.") or n.startswith("p_cluster.") for n in map(bare, state)):
        alone = "EdgeClassifier" if any(n.startswith("ec_node_encoder.") for n in unknown) else "EmbeddingNetwork or another one"
        raise Unusable(f"the checkpoint is of a single network, not of a run: save its state_dict as .safetensors and load that into the stage of a pipeline "
                       f"of your own with load_reference<…> ({alone}), see docs/interop.md")
    if unknown:
        raise Unusable("these parameters belong to no part of dew: " + ", ".join(unknown))
    if not any(n.startswith("edge_classifier.") for n in tensors):
        raise Unusable("the checkpoint has no edge classifier (no parameter 'ec.…'): find_tracks needs one")
    if not any(n.startswith("condenser.latent_head.") for n in tensors):
        raise Unusable("the checkpoint has no condenser (no parameter 'p_cluster.…')")
    return tensors


def init_args(checkpoint):
    """The model's constructor arguments, wherever the checkpoint keeps them."""
    parameters = checkpoint.get("hyper_parameters") or {}
    model = parameters.get("model", parameters)
    arguments = dict(model.get("init_args", model)) if isinstance(model, dict) else {}
    if not arguments:
        raise Unusable("the checkpoint says nothing of the model's arguments (hyper_parameters): its cuts and residuals cannot be known")
    return arguments


def nested(arguments, name):
    """The arguments of a part that was built beside the model, or None."""
    part = arguments.get(name)
    return dict(part.get("init_args", part)) if isinstance(part, dict) else None


def stack_options(stage, part, tensors):
    """Kind, share and residual of a stack from the arguments of the part that holds it."""
    kind, kwargs = part.get("residual_type", "skip1"), part.get("residual_kwargs") or {}
    if kind not in ("skip1", "skip2", "skip_top"):
        raise Unusable(f"residual_type '{kind}' is not known")
    unknown = set(kwargs) - {"connect_to", "add_bn", "collapse_residual_edge_embeddings"}
    if unknown:
        raise Unusable(f"residual_kwargs {sorted(unknown)} are not known")
    return {
        f"{stage}.stack": kind,
        f"{stage}.alpha": float(part.get("alpha", 0.5)),
        f"{stage}.batch_norm": any(f"{stage}.stack.node_norms." in n for n in tensors),
        f"{stage}.add_input": kind == "skip_top" and kwargs.get("connect_to", 1) == 0,
    }


def layers_of(tensors, stage):
    return len({n.split(".")[3] for n in tensors if n.startswith(f"{stage}.stack.layers.")})


def options_of(tensors, arguments):
    """Options of every stage. Widths and depths are read from the weights, all else from the constructor's arguments."""
    ec = nested(arguments, "ec") or {"alpha": arguments.get("alpha_ec", 0.5)}
    hc_in = nested(arguments, "hc_in") or {"alpha": arguments.get("alpha_hc", arguments.get("alpha", 0.5))}
    shape = lambda name: tensors[name].shape
    node, edge = shape("edge_classifier.node_encoder.layers.2.weight")[0], shape("edge_classifier.edge_encoder.layers.2.weight")[0]
    layers = layers_of(tensors, "edge_classifier")
    stack = stack_options("edge_classifier", ec, tensors)
    collected = 1 + (layers // 2 if stack["edge_classifier.stack"] == "skip2" else layers)
    head = shape("edge_classifier.head.layers.0.weight")[1]
    all_edges, nodes = bool(ec.get("use_intermediate_edge_embeddings", True)), bool(ec.get("use_node_embedding", True))
    if head != (2 * node if nodes else 0) + (collected if all_edges else 1) * edge:
        raise Unusable(f"the edge classifier's head reads {head} values, which is not what its arguments say")
    options = {
        "periodic_features.enabled": False,
        "edge_classifier.hidden": shape("edge_classifier.head.layers.0.weight")[0],
        "edge_classifier.layers": layers,
        "edge_classifier.node_width": node,
        "edge_classifier.edge_width": edge,
        "edge_classifier.encoder": "reference",
        "edge_classifier.head": "all" if all_edges else "last",
        "edge_classifier.head_nodes": nodes,
        "edge_classifier.embeddings": bool(arguments.get("use_ec_embeddings_for_hc", False)),
        "score_cut.threshold": 0.0,
        "orphan_mask.enabled": bool(arguments.get("mask_orphan_nodes", False)),
        "orphan_mask.score_min": float(arguments.get("ec_threshold", 0.5)),
        "symmetries.rotate": False,
        "symmetries.mirror_z": False,
        "symmetries.mirror_phi": False,
    }
    two = "condenser.node_encoder.pixel.encoder.weight" in tensors
    encoder = "condenser.node_encoder." + ("pixel." if two else "")
    edge_in = shape("condenser.edge_encoder.layers.0.weight")[1]
    embeddings = bool(arguments.get("use_ec_embeddings_for_hc", False))
    scored = bool(arguments.get("feed_edge_weights", False))
    if edge_in != 4 + scored + embeddings * edge:
        raise Unusable(f"the condenser's edge encoder reads {edge_in} values, but 4 edge features, score: {scored}, embeddings: {embeddings} were expected")
    use = lambda wanted: "always" if wanted else "never"
    options |= {
        "condenser.latent": shape("condenser.latent_head.layers.4.weight")[0],
        "condenser.hidden": shape("condenser.latent_head.layers.0.weight")[0],
        "condenser.layers": layers_of(tensors, "condenser"),
        "condenser.node_width": shape(encoder + "decoder.weight")[0],
        "condenser.edge_width": shape("condenser.edge_encoder.layers.2.weight")[0],
        "condenser.encoder": "reference",
        "condenser.score_min": float(arguments.get("ec_threshold", 0.5)),
        "condenser.score": use(scored),
        "condenser.score_logit": False,
        "condenser.node_embedding": use(embeddings),
        "condenser.edge_embedding": use(embeddings),
        "condenser.coordinates": int(arguments.get("n_embedding_coords", 0)),
        "condenser.coordinate_share": float(arguments.get("alpha_latent", 0.0)),
        "condenser.pixel_layers": 18 if two else 0,
        "condenser.initial_scale": 1.0,
        "condenser.smoothing": 0,
    }
    options |= stack | stack_options("condenser", hc_in, tensors)
    features = shape("edge_classifier.node_encoder.layers.0.weight")[1]
    if features not in HIT_FEATURES:
        raise Unusable(f"the model reads {features} hit features; find_tracks gives the 6 standard ones, or 14 with those of the cells")
    return options, node, edge, features


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def metadata(options, node, edge, features):
    """What dew wants to know beside the weights; see the documentation of Trained::save."""
    stages = ["periodic_features", "geometric_graph", "scaled_edges", "edge_classifier", "score_cut", "orphan_mask", "symmetries", "condenser", "dbscan"]
    hits = {"hit_id": 1, "position": 3, "layer": 1, "hit_features": features}
    graph = hits | {"edge_index": 2, "edge_features": 4}
    embeds = options["edge_classifier.embeddings"]
    scored = graph | {"edge_score": 1, "node_embedding": node if embeds else 0, "edge_embedding": edge if embeds else 0}
    widths = dict(zip(stages, [hits, hits, graph, graph, scored, scored, scored, scored, scored | {"latent": options["condenser.latent"], "beta": 1}]))
    options = {path: text(value) for path, value in options.items()} | {"scaled_edges.scale": "1,1,1,1"}
    return {
        "dew.schema": "1",
        "dew.version": "from gnn_tracking",
        "dew.stages": json.dumps(stages, separators=(",", ":")),
        "dew.options": json.dumps(options),
        "dew.widths": json.dumps(widths),
        "dew.seed": "0",
    }


def write_aside(path, content):
    with open(path + ".partial", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".partial", path)


def safetensors(tensors, meta):
    names = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
    header, body = {"__metadata__": meta}, b""
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        content = ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + body


def toml(options, features, source):
    lines = [f"# gnn_tracking's {os.path.basename(source)} as a run of find_tracks", "", "[scaled_edges]", "scale = [1, 1, 1, 1]"]
    section = ""
    for path, value in sorted((options | {"trackml.features": HIT_FEATURES[features]}).items()):
        stage, option = path.split(".", 1)
        if stage != section:
            lines += ["", f"[{stage}]"]
            section = stage
        lines.append(f"{option} = " + (json.dumps(value) if isinstance(value, str) else text(value)))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="Lightning checkpoint (.ckpt)")
    parser.add_argument("--out", required=True, help="run folder to write; must not exist")
    parser.add_argument("--trust", action="store_true", help="unpickle objects in the checkpoint: runs code that it may hold")
    arguments = parser.parse_args()
    try:
        if os.path.exists(arguments.out):
            raise Unusable(f"{arguments.out}: is there already")
        checkpoint = read_checkpoint(arguments.checkpoint, arguments.trust)
        tensors = renamed(checkpoint["state_dict"])
        options, node, edge, features = options_of(tensors, init_args(checkpoint))
    except Unusable as problem:
        print(problem, file=sys.stderr)
        return 1
    os.makedirs(arguments.out)
    write_aside(os.path.join(arguments.out, "model.safetensors"), safetensors(tensors, metadata(options, node, edge, features)))
    write_aside(os.path.join(arguments.out, "config.toml"), toml(options, features, arguments.checkpoint).encode())
    print(f"{arguments.out}: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values())} parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
