# SPDX-License-Identifier: BSL-1.0
"""A study as one HTML page that needs no network: ranking, history, importance, parallel coordinates, slices."""

import html
import re

import optuna.visualization
from allocation import duration
from plotly.colors import sample_colorscale

STYLE = """
body { font: 16px/1.5 Helvetica, Arial, sans-serif; color: #222; max-width: 1180px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.2em; margin: 2em 0 0.2em; } p { margin: 0.3em 0; color: #555; }
table { border-collapse: collapse; margin-top: 0.8em; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.2em 0.9em 0.2em 0; border-bottom: 1px solid #ddd; } th { vertical-align: bottom; font-weight: 600; }
.wide { overflow-x: auto; }
"""


def page(study):
    """The page's text."""
    title = html.escape(study.name)
    parts = [f"<h1>{title}</h1>", f"<p>{html.escape(study.counts())}; {html.escape(study.metric)}, the {'largest' if study.settings['maximise'] else 'smallest'} is the best</p>",
             f'<div class="wide">{ranking(study)}</div>']  # fmt: skip
    script = True  # the plotting library stands in the page once, before the first figure
    for heading, text, figure in figures(study):
        parts.append(f"<h2>{heading}</h2><p>{text}</p>")
        if figure is not None:
            parts.append(f'<div class="wide">{figure.to_html(full_html=False, include_plotlyjs=script, config={"displaylogo": False})}</div>')
            script = False
    return f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def ranking(study, most=10):
    """The best trials and what they were given."""
    names = [r["option"] for r in study.space]
    rows = ["<tr><th>trial<th>" + "<th>".join(html.escape(name).replace(".", ".<wbr>") for name in [study.metric, "time", *names]) + "</tr>"]
    for trial in study.ranking()[:most]:
        values = [trial.params.get(name, "") for name in names]
        cells = [f"{trial.number}", f"{trial.value:.4f}", duration(trial.user_attrs["time"]["seconds"]), *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)]
        rows.append("<tr><td>" + "<td>".join(html.escape(cell) for cell in cells) + "</tr>")
    return "<table>" + "".join(rows) + "</table>"


def figures(study):
    """(heading, what it shows, figure or None) of each plot."""
    plots, searched, metric = optuna.visualization, len(study.space), study.metric
    history = drawn(plots.plot_optimization_history(study.optuna, target_name=metric), 420)
    history.update_traces(line={"shape": "hv", "color": "#d1495b"}, selector={"mode": "lines"}).update_traces(marker={"color": "#30638e", "size": 8}, selector={"mode": "markers"})
    yield "History", "Each finished trial, and the best so far.", history

    heading, text = "Importance", "How much of what sets the better trials apart is in one option alone (PED-ANOVA; all of them together make 1)."
    try:
        yield heading, text, drawn(plots.plot_param_importances(study.optuna, target_name=metric), 160 + 36 * searched).update_traces(marker_color="#30638e")
    except (RuntimeError, ValueError) as error:
        yield heading, f"Cannot be said yet: {html.escape(str(error))}", None

    parallel = drawn(plots.plot_parallel_coordinate(study.optuna, target_name=metric), 520, max(1100, 130 * (searched + 2)))
    for line in parallel.select_traces({"type": "scatter", "mode": "lines"}):
        line.line.update(color=sample_colorscale("Viridis", [line.y[0]])[0], width=1.8)
        line.opacity = 0.8
    parallel.update_traces(marker={"colorscale": "Viridis", "reversescale": False, "colorbar": {"title": None}}, selector={"mode": "markers"})
    names = sorted({name for trial in study.ranking() for name in trial.params})
    parallel.update_xaxes(side="top", ticktext=[wrapped(name) for name in [metric, *names]], tickangle=0)  # in full: Optuna shortens long ones
    text = f"A line is a trial, from its {html.escape(metric)} to what it was given (None: the option did not count)."
    yield "Parallel coordinates", text, parallel.update_layout(margin={"t": 90, "b": 30})

    slices = drawn(plots.plot_slice(study.optuna, target_name=metric), 440, max(1100, 260 * searched))
    slices.update_traces(marker={"colorscale": "Viridis", "cmin": 0, "cmax": len(study.trials()) - 1, "size": 8})
    slices.for_each_xaxis(lambda axis: axis.update(title_text=wrapped(axis.title.text or ""), tickangle=0, dtick="D2" if axis.type == "log" else None))
    yield "Slices", "Each option by itself; the colour is the trial's number.", slices


def wrapped(name):
    """An option's path on several lines."""
    return re.sub(r"\.(?!\d)", ".<br>", name)


def drawn(figure, height, width=1100):
    """A figure in the page's style, under the page's heading."""
    return figure.update_layout(template="plotly_white", title=None, height=height, width=width, font={"family": "Helvetica, Arial, sans-serif", "size": 13},
                                margin={"l": 90, "r": 60, "t": 40, "b": 90})  # fmt: skip
