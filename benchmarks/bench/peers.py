# SPDX-License-Identifier: BSL-1.0
"""What dew is compared with: the same rows on the same numbers, written as Python systems for tracking write them.

pandas merges pairs of layers into edges, torch_geometric concatenates and scatters messages, losses take a dense matrix of distances, a scan calls
scikit-learn's DBSCAN once a trial. Answers requests, one JSON object a line, as `bench_ours serve` does (docs/benchmarks.md).
"""
import ctypes
import gc
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors
from torch import nn

warnings.simplefilter("ignore", FutureWarning)  # torch_geometric still asks for torch.jit.script
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import MessagePassing

MEMORY_GB = 16
THREADS = 1


# ---- files ----------------------------------------------------------------------------------------------------------------------------

COLUMNS = {
    "hits": ["hit_id", "x", "y", "z", "volume_id", "layer_id"],
    "truth": ["hit_id", "particle_id"],
    "particles": ["particle_id", "px", "py", "pz"],
}


def read_csv(folder, ending):
    return [pd.read_csv(folder / f"event000000001-{kind}.csv{ending}", usecols=columns) for kind, columns in COLUMNS.items()]


def csv_row(files, request, ending=""):
    folder = files / ("gz" if ending else "csv")

    def result(tables):
        return {f"{i}.{name}": torch.from_numpy(table[name].to_numpy().copy()) for i, table in enumerate(tables) for name in COLUMNS[list(COLUMNS)[i]]}

    return lambda: read_csv(folder, ending), result


# ---- hits and graphs --------------------------------------------------------------------------------------------------------------------


def node_features(xyz):
    x, y, z = xyz.astype(np.float64).T
    r = np.sqrt(x**2 + y**2)
    eta = -np.log(np.tan(0.5 * np.arctan2(r, z)))
    return np.stack([r / 1000, np.arctan2(y, x) / np.pi, z / 1000, eta, 1000 * x / r**2, 1000 * y / r**2], axis=1).astype(np.float32)


def features_row(files, request):
    xyz = load_file(files / "graph.safetensors")["position"].numpy()
    return lambda: node_features(xyz), lambda out: {"features": torch.from_numpy(out)}


LAYER_PAIRS = (
    [(7, 8), (8, 9), (9, 10), (7, 6), (8, 6), (9, 6), (10, 6), (7, 11), (8, 11), (9, 11), (10, 11)]
    + [(i, i + 1) for i in range(6)] + [(i, i + 1) for i in range(11, 17)]
)  # fmt: skip
CROSSED = {7: (71.56298065185547, 490.975), 8: (115.37811279296875, 490.975)}  # barrel → endcap over a layer: its radius and half length


def wrapped(dphi):
    dphi = np.where(dphi > np.pi, dphi - 2 * np.pi, dphi)
    return np.where(dphi < -np.pi, dphi + 2 * np.pi, dphi)


def select_edges(hits1, hits2, layers, cuts):
    """All pairs of two layers by a merge, then the cuts."""
    pairs = hits1.reset_index().merge(hits2.reset_index(), on="event", suffixes=("_1", "_2"))
    dphi = wrapped(pairs.phi_2 - pairs.phi_1)
    dr = pairs.r_2 - pairs.r_1
    dz = pairs.z_2 - pairs.z_1
    eta_1 = -np.log(np.tan(np.arctan2(pairs.r_1, pairs.z_1) / 2))
    eta_2 = -np.log(np.tan(np.arctan2(pairs.r_2, pairs.z_2) / 2))
    deta = eta_2 - eta_1
    distance = np.sqrt(deta**2 + dphi**2)
    phi_slope = dphi / dr
    z0 = pairs.z_1 - pairs.r_1 * dz / dr
    good = (phi_slope.abs() < cuts["phi_slope_max"]) & (z0.abs() < cuts["z0_max_mm"]) & (distance < 1.7)
    if layers[1] in (6, 11) and layers[0] in CROSSED:
        radius, half_length = CROSSED[layers[0]]
        good &= ~((z0 + radius * dz / dr).abs() < half_length)
    return pd.DataFrame({"source": pairs["index_1"][good], "target": pairs["index_2"][good], "dr": dr[good], "dphi": pd.Series(dphi)[good],
                         "dz": dz[good], "distance": distance[good]})  # fmt: skip


def relabelled_by_particle(edges, layer, particle, good):
    """Of a particle's true edges from the barrel to an endcap, only those from the outermost barrel layer stay true: a loop over particles."""
    source, target = layer[edges.source], layer[edges.target]
    of_edge = particle[edges.source]
    transitions = {(a, b): a for a, b in LAYER_PAIRS if 7 <= a <= 10 and b in (6, 11)}
    for own in np.unique(particle):
        if own <= 0:
            continue
        own_edges = (of_edge == own) & good
        pairs = set(zip(source[own_edges], target[own_edges])) & transitions.keys()
        outermost = max((transitions[pair] for pair in pairs), default=0)
        for a, b in pairs:
            if transitions[a, b] < outermost:
                good[(source == a) & (target == b) & own_edges] = False
    return good


def relabelled_by_group(edges, layer, particle, good):
    """The same by a group-by over the edges in question."""
    source = edges.source.to_numpy()
    barrel = layer[source]
    transition = good & np.isin(layer[edges.target.to_numpy()], (6, 11)) & (barrel >= 7) & (barrel <= 10)
    table = pd.DataFrame({"row": np.flatnonzero(transition), "id": particle[source[transition]], "barrel": barrel[transition]})
    outermost = table.groupby("id").barrel.transform("max")
    good[table.row[table.barrel < outermost]] = False
    return good


def build_graph(event, cuts, truth=True, lean=False):
    """Edges, their features and their truth, both directions. As the reference system does it: all that is known of the hits is merged, and
    truth is relabelled particle by particle; `lean`: only what is needed, and no loop."""
    x, y, z = event["position"].astype(np.float64).T
    r, layer, particle = np.sqrt(x**2 + y**2), event["layer"], event["particle_id"]
    columns = {"event": 0, "r": r, "phi": np.arctan2(y, x), "z": z, "layer": layer}
    if not lean:
        eta = -np.log(np.tan(np.arctan2(r, z) / 2))
        columns |= {"eta_rz": eta, "u": x / r**2, "v": y / r**2, "pt": event["pt"], "particle_id": particle}
    hits = pd.DataFrame(columns)
    groups = dict(list(hits.groupby("layer")))
    edges = pd.concat([select_edges(groups[a], groups[b], (a, b), cuts) for a, b in LAYER_PAIRS if a in groups and b in groups])
    index = torch.from_numpy(np.stack([edges.source, edges.target]))
    features = np.stack([edges.dr / 1000, edges.dphi / np.pi, edges.dz / 1000, edges.distance], axis=1).astype(np.float32)
    features = torch.from_numpy(features)
    index = torch.cat([index, index.flip(0)], dim=1)
    features = torch.cat([features, features * torch.tensor([-1.0, -1.0, -1.0, 1.0])])
    if not truth:
        return index, features, None
    source, target = particle[edges.source], particle[edges.target]
    relabelled = relabelled_by_group if lean else relabelled_by_particle
    good = torch.from_numpy(relabelled(edges, layer, particle, (source == target) & (source > 0)))
    return index, features, torch.cat([good, good])


def settings(files):
    return json.loads((files / "settings.json").read_text())


def graph_row(files, request, lean=False):
    event = {name: tensor.numpy() for name, tensor in load_file(files / "graph.safetensors").items()}
    cuts = settings(files)
    return (
        lambda: build_graph(event, cuts, lean=lean),
        lambda out: {"edge_index": out[0].contiguous(), "edge_features": out[1], "edge_truth": out[2]},
    )


# ---- networks ---------------------------------------------------------------------------------------------------------------------------


class Mlp(nn.Module):
    def __init__(self, n_in, n_out, hidden, layers=3, bias=True, final_relu=False):
        super().__init__()
        parts = [nn.Linear(n_in, hidden, bias=bias)]
        for _ in range(layers - 2):
            parts += [nn.ReLU(), nn.Linear(hidden, hidden, bias=bias)]
        parts += [nn.ReLU(), nn.Linear(hidden, n_out, bias=bias)] + ([nn.ReLU()] if final_relu else [])
        self.layers = nn.Sequential(*parts)

    def forward(self, x):
        return self.layers(x)


class InteractionNetwork(MessagePassing):
    def __init__(self, width):
        super().__init__(aggr="add", flow="source_to_target")
        self.relational_model = Mlp(3 * width, width, width)
        self.object_model = Mlp(2 * width, width, width)

    def forward(self, x, edge_index, edge_attr):
        x_new = self.propagate(edge_index, x=x, edge_attr=edge_attr, size=None)
        edges, self._edges = self._edges, None
        return x_new, edges

    def message(self, x_i, x_j, edge_attr):
        self._edges = self.relational_model(torch.cat([x_i, x_j, edge_attr], dim=1))
        return self._edges

    def update(self, aggr_out, x):
        return self.object_model(torch.cat([x, aggr_out], dim=1))


class Stack(nn.Module):
    """Interaction networks with residual connections of the nodes, α = 0.5."""

    def __init__(self, width, layers):
        super().__init__()
        self.layers = nn.ModuleList(InteractionNetwork(width) for _ in range(layers))

    def forward(self, x, edge_index, edge_attr):
        collected = [edge_attr]
        for i, layer in enumerate(self.layers):
            nodes, edges = (x, edge_attr) if i == 0 else (torch.relu(x), torch.relu(edge_attr))
            x_new, edge_attr = layer(nodes, edge_index, edges)
            x = 0.5**0.5 * x + 0.5**0.5 * x_new
            collected.append(edge_attr)
        return x, collected


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.node_encoder = Mlp(6, 64, 64, layers=2, bias=False, final_relu=True)
        self.edge_encoder = Mlp(4, 64, 64, layers=2, bias=False, final_relu=True)
        self.stack = Stack(64, 3)
        self.head = Mlp(2 * 64 + 4 * 64, 1, 64)

    def forward(self, x, edge_index, edge_attr):
        x, collected = self.stack(self.node_encoder(x), edge_index, self.edge_encoder(edge_attr))
        w = self.head(torch.cat([x[edge_index[0]], x[edge_index[1]]] + collected, dim=1))
        return 0.001 + 0.998 * torch.sigmoid(w.squeeze(1))


class ResidualNetwork(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.encoder = nn.Linear(n_in, width, bias=False)
        self.decoder = nn.Linear(width, width, bias=False)

    def forward(self, x):
        return self.decoder(torch.relu(self.encoder(nn.functional.normalize(x, p=2.0, dim=1, eps=1e-12))))


class Condenser(nn.Module):
    def __init__(self):
        super().__init__()
        self.node_encoder = ResidualNetwork(6, 64)
        self.edge_encoder = Mlp(4, 64, 64, layers=2, bias=False, final_relu=True)
        self.stack = Stack(64, 4)
        self.beta_head = Mlp(64, 1, 64)
        self.latent_head = Mlp(64, 8, 64)
        self.latent_scale = nn.Parameter(torch.ones(1))

    def forward(self, x, edge_index, edge_attr):
        x, _ = self.stack(torch.relu(self.node_encoder(x)), edge_index, self.edge_encoder(edge_attr))
        beta = 1e-6 + (1 - 2e-6) * torch.sigmoid(self.beta_head(x).squeeze(1))
        return self.latent_scale * self.latent_head(x), beta


def network(kind, files, name):
    net = kind()
    net.load_state_dict(load_file(files.parent / f"{name}.safetensors"))
    return net


def focal_loss(w, y, alpha=0.25, gamma=2.0):
    y = y.to(w.dtype)
    return torch.mean(-alpha * (1 - w).pow(gamma) * y * torch.log(w) - (1 - alpha) * w.pow(gamma) * (1 - y) * torch.log(1 - w))


def condensation_loss(beta, x, particle, interest, q_min=0.01):
    """Attraction + repulsion, with the matrix of distances of all hits to all condensation points."""
    ids = torch.unique(particle[interest])
    belongs = particle.view(-1, 1) == ids.view(1, -1)
    q = torch.arctanh(beta) ** 2 + q_min
    alphas = torch.argmax(q.view(-1, 1) * belongs, dim=0)
    distance = torch.cdist(x, x[alphas])
    weight = q.view(-1, 1) * q[alphas].view(1, -1)
    n_objects = len(ids)
    attraction = torch.sum((weight * distance.square())[belongs]) / (interest.sum() - n_objects + 1e-9)
    repulsion = torch.sum((weight * torch.relu(1 - distance))[~belongs]) / ((n_objects - 1) * len(x) + 1e-9)
    return attraction + repulsion


def of_interest(event):
    return (event["particle_id"] > 0) & event["reconstructable"] & (event["pt"] > 0.9) & (event["eta"].abs() < 4)


def ec_inference_row(files, request):
    event = load_file(files / "graph.safetensors")
    net = network(Classifier, files, "edge_classifier").eval()

    @torch.no_grad()
    def run():
        return net(event["hit_features"], event["edge_index"], event["edge_features"])

    return run, lambda out: {"score": out}


def step_row(net, loss):
    """A training step: gradients, clipping, AdamW."""
    begin = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=1e-2)

    def run():
        optimiser.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()

    def result(_):
        net.load_state_dict(begin)
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return {"loss": value.detach()} | {f"grad.{name}": p.grad for name, p in net.named_parameters() if p.grad is not None}

    return run, result


def ec_step_row(files, request):
    event = load_file(files / "graph.safetensors")
    net = network(Classifier, files, "edge_classifier").train()
    return step_row(net, lambda: focal_loss(net(event["hit_features"], event["edge_index"], event["edge_features"]), event["edge_truth"]))


def oc_step_row(files, request):
    event = load_file(files / "cut_graph.safetensors")
    net = network(Condenser, files, "condenser").train()
    interest = of_interest(event)

    def loss():
        x, beta = net(event["hit_features"], event["edge_index"], event["edge_features"])
        return condensation_loss(beta, x, event["particle_id"], interest)

    return step_row(net, loss)


def oc_loss_row(files, request, scale=1.0):
    event = load_file(files / "latent.safetensors")
    x = (event["latent"] * scale).requires_grad_()
    beta = event["beta"].requires_grad_()
    interest = of_interest(event)

    def run():
        x.grad = beta.grad = None
        loss = condensation_loss(beta, x, event["particle_id"], interest)
        loss.backward()
        return loss.detach()

    return run, lambda out: {"loss": out, "grad.x": x.grad, "grad.beta": beta.grad}


def epoch_row(files, request):
    n = len(load_file(files / "latent.safetensors")["beta"])
    net = network(Classifier, files, "edge_classifier").train()
    begin = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    graphs = []
    for i in range(1, n // 1000 + 1):
        g = load_file(files.parent / "epoch" / f"graph_{i:03}.safetensors")
        graphs.append(Data(x=g["hit_features"], edge_index=g["edge_index"], edge_attr=g["edge_features"], y=g["edge_truth"]))
    loader = DataLoader(graphs, batch_size=1, shuffle=True)

    def epoch(rate):
        net.load_state_dict(begin)
        optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-2)
        total = 0.0
        for data in loader:
            optimiser.zero_grad()
            loss = focal_loss(net(data.x, data.edge_index, data.edge_attr), data.y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            total += loss.item()
        return total / len(loader)

    return lambda: epoch(1e-3), lambda _: {"loss": torch.tensor(epoch(0.0), dtype=torch.float64)}


# ---- neighbours, clusters, metrics ----------------------------------------------------------------------------------------------------------

NEIGHBOURS = 16


def points(files, d):
    event = load_file(files / "latent.safetensors")
    x = {3: event["hit_features"][:, :3], 8: event["latent"], 24: event["hit_embedding"]}[d]
    return np.ascontiguousarray(x.numpy())


def neighbours_sklearn_row(files, request):
    x = points(files, request["d"])
    run = lambda: NearestNeighbors(n_neighbors=NEIGHBOURS, n_jobs=THREADS).fit(x).kneighbors()  # noqa: E731
    return run, lambda out: {"distance": torch.from_numpy(out[0]), "index": torch.from_numpy(out[1])}


def neighbours_faiss_row(files, request):
    x = points(files, request["d"])

    def run():
        index = faiss.IndexFlatL2(x.shape[1])
        index.add(x)
        return index.search(x, NEIGHBOURS + 1)

    def result(out):
        distance, index = torch.from_numpy(out[0]).clamp_min(0).sqrt(), torch.from_numpy(out[1])
        # a point is in its own list, mostly first; without it, or without the last where another one stands for it
        drop = index == torch.arange(len(x)).view(-1, 1)
        drop[~drop.any(dim=1), -1] = True
        return {"distance": distance[~drop].view(len(x), -1), "index": index[~drop].view(len(x), -1)}

    return run, result


def dbscan_row(files, request):
    x = load_file(files / "latent.safetensors")["latent"].numpy()
    eps = settings(files)["eps"]
    return lambda: DBSCAN(eps=eps, min_samples=3, n_jobs=THREADS).fit_predict(x), lambda out: {"label": torch.from_numpy(out).long()}


def tracking_metrics(label, hits, particles):
    """Double majority, perfect, LHC and their fake rates above four cuts on pt, as data frames."""
    table = hits.assign(c=label)
    table = table[(table.c >= 0) & (table.id >= 0)]
    shared = table.groupby(["c", "id"]).agg(shared=("row", "size"), first=("row", "min")).reset_index()
    majority = shared.sort_values(["shared", "first"], ascending=[False, True]).drop_duplicates("c")
    tracks = majority.merge(table.groupby("c").size().rename("size").reset_index(), on="c")
    tracks = tracks[tracks["size"] >= 3].merge(particles, on="id", how="left")
    double_majority = (tracks.shared / tracks["size"] > 0.5) & (tracks.shared / tracks.hits > 0.5)
    perfect = (tracks.shared == tracks.hits) & (tracks.shared / tracks["size"] > 0.99)
    lhc = tracks.shared / tracks["size"] > 0.75
    out = []
    for cut in np.array([0, 0.5, 0.9, 1.5], np.float32):
        count = int((particles.reconstructable & (particles.pt >= cut) & (particles.eta.abs() < 4)).sum())
        chosen = (tracks.reconstructable == True) & (tracks.pt >= cut) & (tracks.eta.abs() < 4)  # noqa: E712
        n = int(chosen.sum())
        dm, pf, lh = (int((chosen & m).sum()) for m in (double_majority, perfect, lhc))
        with np.errstate(divide="ignore", invalid="ignore"):
            out += list(np.array([dm / np.float64(count), pf / np.float64(count), lh / np.float64(n), (n - dm) / np.float64(n),
                                  (n - pf) / np.float64(n), (n - lh) / np.float64(n), count, n]))  # fmt: skip
    return out


def truth_tables(files):
    event = {name: tensor.numpy() for name, tensor in load_file(files / "latent.safetensors").items()}
    hits = pd.DataFrame({"id": event["particle_id"], "row": np.arange(len(event["particle_id"]))})
    particles = pd.DataFrame({"id": event["truth_id"], "pt": event["truth_pt"], "eta": event["truth_eta"], "hits": event["truth_hits"],
                              "reconstructable": event["truth_reconstructable"]})  # fmt: skip
    return event, hits, particles


def metrics_row(files, request):
    event, hits, particles = truth_tables(files)
    return lambda: tracking_metrics(event["label"], hits, particles), lambda out: {"figures": torch.tensor(out, dtype=torch.float64)}


def eps_scan_row(files, request):
    event, hits, particles = truth_tables(files)

    def run():
        out = []
        for m in (1, 2):
            for eps in 0.05 + (0.8 - 0.05) * np.arange(40) / 39:
                label = DBSCAN(eps=eps, min_samples=m, n_jobs=THREADS).fit_predict(event["latent"])
                out.append(tracking_metrics(label, hits, particles))
        return out

    return run, lambda out: {"figures": torch.tensor(np.array(out), dtype=torch.float64)}


def event_row(files, request):
    """Hits → tracks: graph, scores, the edges above a cut, latent space, clusters."""
    cuts = settings(files)
    event = load_file(files / "graph.safetensors")
    hits = {name: event[name].numpy() for name in ("position", "layer", "particle_id", "pt")}
    classifier = network(Classifier, files, "edge_classifier").eval()
    condenser = network(Condenser, files, "condenser").eval()

    @torch.no_grad()
    def run():
        index, features, _ = build_graph(hits, cuts, truth=False)
        score = classifier(event["hit_features"], index, features)
        kept = score > cuts["score_min"]
        latent, _ = condenser(event["hit_features"], index[:, kept], features[kept])
        return DBSCAN(eps=cuts["track_eps"], min_samples=1, n_jobs=THREADS).fit_predict(latent.numpy())

    return run, lambda out: {"label": torch.from_numpy(out).long()}


ROWS = {
    "read_csv": csv_row,
    "read_csv_gzip": lambda files, request: csv_row(files, request, ".gz"),
    "features": features_row,
    "graph": graph_row,
    "graph.lean": lambda files, request: graph_row(files, request, lean=True),
    "ec_inference": ec_inference_row,
    "ec_step": ec_step_row,
    "oc_step": oc_step_row,
    "oc_loss": oc_loss_row,
    "oc_loss_untrained": lambda files, request: oc_loss_row(files, request, 0.02),
    "neighbours": neighbours_sklearn_row,
    "neighbours.faiss": neighbours_faiss_row,
    "dbscan": dbscan_row,
    "eps_scan": eps_scan_row,
    "metrics": metrics_row,
    "event": event_row,
    "epoch": epoch_row,
}


# ---- requests ---------------------------------------------------------------------------------------------------------------------------


def status_mb(field):
    with open("/proc/self/status") as status:
        return next(float(line.split()[1]) / 1024 for line in status if line.startswith(field + ":"))


class Server:
    def __init__(self):
        self.run = self.result = self.out = None

    def release(self, request):
        self.run = self.result = self.out = None
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return {}

    def prepare(self, request):
        global THREADS
        self.release(request)
        THREADS = request["threads"]
        torch.set_num_threads(THREADS)
        faiss.omp_set_num_threads(THREADS)
        self.run, self.result = ROWS[request["row"]](Path(request["set"]), request)
        return {}

    def timed(self, request):
        self.out = None
        before = 0.0
        if request.get("memory"):
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
            before = status_mb("VmRSS")
        start = time.perf_counter()
        self.out = self.run()
        seconds = time.perf_counter() - start
        return {"s": seconds} | ({"mb": status_mb("VmHWM") - before} if request.get("memory") else {})

    def save(self, request):
        save_file({name: tensor.detach().contiguous() for name, tensor in self.result(self.out).items()}, request["file"])
        return {}

    def answer(self, request):
        return {"prepare": self.prepare, "run": self.timed, "result": self.save, "release": self.release}[request["do"]](request)


def main():
    limit = MEMORY_GB << 30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # of what the process writes to; libraries do not count
    server = Server()
    for line in sys.stdin:
        try:
            out = server.answer(json.loads(line))
        except (MemoryError, Exception) as error:
            server = Server()
            gc.collect()
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            out = {"error": text, "memory": isinstance(error, MemoryError) or "memory" in text.lower() or "allocate" in text.lower()}
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
