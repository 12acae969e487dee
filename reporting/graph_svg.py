"""Draws a graph as SVG, and PNG from it.

Nodes are in layers from top to bottom, by how many steps lead to them. An edge goes down to the next layer,
sideways to a neighbor, or through a lane of its own at the left or right: back up, or past the layers that
it skips.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

from langchain_core.runnables.graph import Edge

from graph.topology import depths, shortcuts
from models.errors.exceptions import MissingExtra
from prompts.method import STEPS
from reporting.graph_counts import GraphCounts, StepCounts
from reporting.labels import seconds
from reporting.theme import GRAY, ROLE_COLORS
from samples.fields import plural

INK, FAINT, SOFT, PAPER = "#1b2330", "#667180", "#f4f6f9", "#ffffff"

NUMBERS, AGENT, OTHER = (236, 88), (168, 40), (96, 34)
"""Width and height of a node with numbers, of an agent's without, and of the others; in pixels, like all
lengths here."""

GAP = 64
"""Between two layers, with room for the numbers at the edges."""

SIDEWAYS = 72
"""Between two nodes of a layer."""

LANE = 44
"""Between the nodes and an edge that goes back or past them, and between two of those."""

EDGE = 32
"""Between the drawing and the border of the picture, or the frame around a nested graph."""


@dataclass(slots=True)
class _Node:
    name: str
    lines: list[str]
    role: str
    width: float
    height: float
    x: float = 0  # of its middle; 0 is the middle of the picture
    y: float = 0  # of its top
    down: dict[str, float] = field(default_factory=dict)
    up: dict[str, float] = field(default_factory=dict)

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def graph_svg(counts: GraphCounts, title: str) -> str:
    """Draw a graph; screen readers read the `title`.

    Colors are attributes, which the style sheet of a page overrides. Text is in the viewer's font.
    """
    depth = depths(counts.graph)
    nodes = _lay_out(counts, depth)
    through_lanes = [e for e in counts.graph.edges if depth[e.target] < depth[e.source]]
    through_lanes += shortcuts(counts.graph)
    forward = [e for e in counts.graph.edges if e not in through_lanes and depth[e.target] > depth[e.source]]
    sideways = [e for e in counts.graph.edges if depth[e.target] == depth[e.source]]
    # Shorter edges are inside.
    through_lanes.sort(key=lambda edge: abs(depth[edge.source] - depth[edge.target]))
    _spread(nodes, forward)

    half = max(abs(node.x) + node.width / 2 for node in nodes.values())
    shapes: list[str] = []
    labels: list[str] = []
    for edge in forward:
        shapes.append(_down(nodes, edge, counts, labels))
    for edge in sideways:
        shapes.append(_sideways(nodes, edge, counts, labels))
    lanes = {-1: half, 1: half}
    leave = {edge.source for edge in through_lanes}
    for edge in through_lanes:
        # Not where another one leaves the node that it leads to.
        side = -1 if nodes[edge.target].x < 0 or edge.target in leave else 1
        lanes[side] += LANE
        shapes.append(_through_lane(nodes, edge, counts, side * lanes[side], labels))
    boxes = [_box(node, faded=_was_skipped(counts, name)) for name, node in nodes.items()]
    reach = max(lanes.values()) + 24
    frames = list(_frames(nodes, reach))
    half_width = reach + EDGE * (1 + bool(frames))
    height = max(node.bottom for node in nodes.values()) + EDGE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" aria-label="{escape(title)}" '
            f'width="{2 * half_width:g}" height="{height:g}" '
            f'viewBox="{-half_width:g} 0 {2 * half_width:g} {height:g}" '
            'font-family="system-ui, -apple-system, Segoe UI, Roboto, Lato, Helvetica, Arial, sans-serif">',
            f'<rect class="paper" x="{-half_width:g}" width="{2 * half_width:g}" height="{height:g}" '
            f'fill="{PAPER}"/>',
            *frames,
            *shapes,
            *boxes,
            *labels,
            "</svg>\n",
        ]
    )


def graph_png(svg: str) -> bytes:
    """Render a drawing as PNG, at twice its size for high-resolution screens and print.

    Raises:
        MissingExtra: the libraries for it are not installed.
    """
    try:
        import resvg_py

        fonts = files("font_lato").joinpath("files")
    except ModuleNotFoundError as error:
        raise MissingExtra("PNG", error.name, "view") from None
    faces = [str(fonts.joinpath(f"Lato-{face}.ttf")) for face in ("Regular", "Bold")]
    # The drawing is the same on every machine, including one without fonts.
    drawn: bytes = resvg_py.svg_to_bytes(
        svg_string=svg, zoom=2, skip_system_fonts=True, font_files=faces, sans_serif_family="Lato"
    )
    return drawn


def lines(step: StepCounts) -> list[str]:
    """Return the numbers of a step's calls as lines below its name."""
    failed = f", {step.failed:,} failed" if step.failed else ""
    return [
        f"{plural(step.calls, 'call')}{failed}",
        f"{step.input_tokens:,} + {step.output_tokens:,} tokens",
        f"median {seconds(step.median_latency)}, p95 {seconds(step.p95_latency)}",
    ]


def _lay_out(counts: GraphCounts, depth: Mapping[str, int]) -> dict[str, _Node]:
    layers: defaultdict[int, list[str]] = defaultdict(list)
    for name in counts.graph.nodes:
        layers[depth[name]].append(name)
    nodes: dict[str, _Node] = {}
    top = float(EDGE)
    for _, names in sorted(layers.items()):
        made = [_node(name, counts) for name in names]
        pitch = max(node.width for node in made) + SIDEWAYS
        for index, (name, node) in enumerate(zip(names, made, strict=True)):
            node.x = (index - (len(made) - 1) / 2) * pitch
            node.y = top
            nodes[name] = node
        top += max(node.height for node in made) + GAP
    return nodes


def _node(name: str, counts: GraphCounts) -> _Node:
    step_name = name.rpartition(":")[2].strip("_")
    label, step = step_name.replace("_", " "), STEPS.get(step_name)
    role = step.role if step else ""
    if role and counts.taken:
        below = lines(counts.calls[name]) if name in counts.calls else ["no calls"]
        return _Node(label, below, role, *NUMBERS)
    return _Node(label, [], role, *(AGENT if role else OTHER))


def _was_skipped(counts: GraphCounts, name: str) -> bool:
    return bool(counts.taken) and not any(times and name in edge for edge, times in counts.taken.items())


def _spread(nodes: Mapping[str, _Node], edges: list[Edge]) -> None:
    """Spread edges that share a node along its side, in the order of their other ends."""
    for name, node in nodes.items():
        for ends, others in (
            (node.down, [edge.target for edge in edges if edge.source == name]),
            (node.up, [edge.source for edge in edges if edge.target == name]),
        ):
            others.sort(key=lambda other: nodes[other].x)
            step = min(44.0, node.width / (len(others) + 1))
            for index, other in enumerate(others):
                ends[other] = node.x + (index - (len(others) - 1) / 2) * step


def _down(nodes: Mapping[str, _Node], edge: Edge, counts: GraphCounts, labels: list[str]) -> str:
    source, target = nodes[edge.source], nodes[edge.target]
    x1, y1, x2, y2 = source.down[edge.target], source.bottom, target.up[edge.source], target.y
    bend = (y2 - y1) / 2
    # Edges may cross or meet, their numbers must not: each is near the end that it does not share.
    share = 0.5 if len(source.down) == len(target.up) == 1 else 0.3 if len(target.up) > 1 else 0.7
    x = _bezier(x1, x1, x2, x2, share)
    y = _bezier(y1, y1 + bend, y2 - bend, y2, share)
    _label(edge, counts, x, y, labels)
    path = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2 - 6:g}"
    return _line(edge, counts, path) + _tip(edge, counts, x2, y2, "down")


def _sideways(nodes: Mapping[str, _Node], edge: Edge, counts: GraphCounts, labels: list[str]) -> str:
    source, target = nodes[edge.source], nodes[edge.target]
    way = 1 if target.x > source.x else -1
    x1, x2 = source.x + way * source.width / 2, target.x - way * target.width / 2
    _label(edge, counts, (x1 + x2) / 2, source.middle - 14, labels)
    line = _line(edge, counts, f"M{x1:g} {source.middle:g}H{x2 - way * 6:g}")
    return line + _tip(edge, counts, x2, target.middle, "right" if way > 0 else "left")


def _through_lane(
    nodes: Mapping[str, _Node], edge: Edge, counts: GraphCounts, lane: float, labels: list[str]
) -> str:
    source, target = nodes[edge.source], nodes[edge.target]
    way = 1 if lane > 0 else -1
    x1, x2 = source.x + way * source.width / 2, target.x + way * target.width / 2
    y1, y2, r = source.middle, target.middle, 14
    turn = r if y2 > y1 else -r
    _label(edge, counts, lane, (y1 + y2) / 2, labels)
    line = _line(
        edge,
        counts,
        f"M{x1:g} {y1:g}H{lane - way * r:g}Q{lane:g} {y1:g} {lane:g} {y1 + turn:g}V{y2 - turn:g}"
        f"Q{lane:g} {y2:g} {lane - way * r:g} {y2:g}H{x2 + way * 6:g}",
    )
    return line + _tip(edge, counts, x2, y2, "left" if way > 0 else "right")


def _bezier(a: float, b: float, c: float, d: float, t: float) -> float:
    s = 1 - t
    return s**3 * a + 3 * s * s * t * b + 3 * s * t * t * c + t**3 * d


def _line(edge: Edge, counts: GraphCounts, path: str) -> str:
    dashes = ' stroke-dasharray="5 4"' if edge.conditional else ""
    drawn = f'd="{path}" fill="none" stroke="{GRAY}" stroke-width="1.5"{dashes}'
    return f'<path class="edge" {drawn}{_faded(edge, counts)}/>'


def _tip(edge: Edge, counts: GraphCounts, x: float, y: float, way: str) -> str:
    ends = {"down": "l-4.5 -8h9z", "right": "l-8 -4.5v9z", "left": "l8 -4.5v9z"}
    return f'<path class="tip" d="M{x:g} {y:g}{ends[way]}" fill="{GRAY}"{_faded(edge, counts)}/>'


def _faded(edge: Edge, counts: GraphCounts) -> str:
    return _FADED if counts.taken and not counts.taken[edge.source, edge.target] else ""


_FADED = ' opacity="0.35"'
"""For edges and nodes that no sample, or not this one, reached."""


def _label(edge: Edge, counts: GraphCounts, x: float, y: float, labels: list[str]) -> None:
    if counts.taken:
        times = f"{counts.taken[edge.source, edge.target]:,}×"
        width = 7 * len(times) + 8
        labels.append(
            f'<g class="times"{_faded(edge, counts)}><rect class="paper" x="{x - width / 2:g}" y="{y - 9:g}" '
            f'width="{width}" height="18" rx="9" fill="{PAPER}"/>'
            f'<text class="ink" x="{x:g}" y="{y + 4:g}" text-anchor="middle" font-size="12" fill="{INK}">'
            f"{times}</text></g>"
        )


def _box(node: _Node, *, faded: bool) -> str:
    color = ROLE_COLORS.get(node.role, GRAY)
    rounded = node.height / 2 if node.name in ("start", "end") else 8
    left, below = node.x - node.width / 2, 23 if node.lines else node.height / 2 + 4.5
    parts = [
        f'<g class="node"{_FADED * faded}>',
        f'<rect class="soft" x="{left:g}" y="{node.y:g}" width="{node.width:g}" height="{node.height:g}" '
        f'rx="{rounded:g}" fill="{SOFT}" stroke="{color}" stroke-width="{2 if node.role else 1}"/>',
        _text(node.x, node.y + below, node.name, "ink", INK, 13.5, bold=True),
    ]
    for index, line in enumerate(node.lines):
        parts.append(_text(node.x, node.y + 42 + 17 * index, line, "faint", FAINT, 12))
    return "".join([*parts, "</g>"])


def _text(x: float, y: float, text: str, style: str, color: str, size: float, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text class="{style}" x="{x:g}" y="{y:g}" text-anchor="middle" font-size="{size:g}" '
        f'fill="{color}"{weight}>{escape(text)}</text>'
    )


def _frames(nodes: Mapping[str, _Node], reach: float) -> Iterator[str]:
    """Draw the frame around each nested graph, with its name."""
    inside: defaultdict[str, list[_Node]] = defaultdict(list)
    for name, node in nodes.items():
        if ":" in name:
            inside[name.partition(":")[0]].append(node)
    for name, those in inside.items():
        top = min(node.y for node in those) - 24
        height = max(node.bottom for node in those) + 24 - top
        yield (
            f'<rect class="frame" x="{-reach:g}" y="{top:g}" width="{2 * reach:g}" height="{height:g}" '
            f'rx="12" fill="none" stroke="{GRAY}" stroke-opacity="0.6"/>'
        )
        yield (
            f'<text class="faint" x="{-reach + 14:g}" y="{top + 22:g}" font-size="12.5" fill="{FAINT}">'
            f"{escape(name.replace('_', ' '))}</text>"
        )
