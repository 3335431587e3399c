#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Trains find_tracks on real events for some minutes (10) and prints object condensation beside the same edge classifier's connected components.
# Usage: benchmarks/hipt.sh FIND_TRACKS EVENTS OUT [MINUTES [FLAG ...]]      EVENTS: events 1000-1079 of pixel hits in TrackML's layout;
# for more than 15 minutes: --config examples/find_tracks/long.toml
set -euo pipefail
if (($# < 3)); then
  sed -n 's/^# //p' "$0" | tail -n 2 >&2
  exit 2
fi
find_tracks=$1 events=$2 out=$3 minutes=${4:-10}
"$find_tracks" train --events "$events" --train 1000-1069 --validate 1070-1079 --out "$out" --minutes "$minutes" "${@:5}"
python3 - "$out/metrics.json" <<'PYTHON'
import json, sys
m = json.load(open(sys.argv[1]))
print(f"\n{'pt >= 0.9 GeV, validation':<28}{'DM':>8}{'perfect':>9}{'fakes':>8}   aim: DM >= 0.94, perfect >= 0.82, fakes <= 0.025")
for title, p in (("object condensation", "tracking.pt0.9."), ("the EC's components, best", "components.best.")):
    print(f"{title:<28}" + "".join(f"{m[p + f]:>{w}.4f}" for f, w in (("double_majority", 8), ("perfect", 9), ("fake_double_majority", 8))))
print(f"edge classifier: AUC {m['edges.auc']:.4f}, best F1 {m['edges.f1']:.4f}")
PYTHON
