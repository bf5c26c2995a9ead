// Topology: who calls whom, from left to right: who is called stands to the right of who calls. The places are found once
// and stay: a picture that moves cannot be read.

const topoSet = { by: "app" };
const topoMost = 100;

// layersOf puts callees behind callers; what calls in a circle stands where it was met first. Who has no part is last.
function layersOf(keys, edges) {
  const out = new Map(keys.map((k) => [k, []])), level = new Map(), open = new Set();
  const touched = new Set(edges.flat()), called = new Set(edges.filter(([a, b]) => a !== b).map(([, b]) => b));
  for (const [a, b] of edges) if (a !== b) out.get(a).push(b);
  const visit = (k, n) => {
    if (open.has(k) || level.get(k) >= n) return;
    level.set(k, n);
    open.add(k);
    for (const to of out.get(k)) visit(to, n + 1);
    open.delete(k);
  };
  for (const k of [...keys.filter((k) => !called.has(k)), ...keys]) if (touched.has(k) && !level.has(k)) visit(k, 0);
  const last = Math.max(-1, ...level.values()) + 1, layers = [];
  for (const k of keys) {
    const n = level.has(k) ? level.get(k) : last;
    (layers[n] = layers[n] || []).push(k);
  }
  return layers.filter(Boolean);
}

// layout places nodes in a unit square: in each layer beside those that they have to do with.
function layout(keys, edges) {
  const layers = layersOf(keys, edges), y = new Map();
  const spread = (layer) => layer.forEach((k, i) => y.set(k, (i + 0.5) / layer.length));
  layers.forEach(spread);
  for (let sweep = 0; sweep < 6; sweep++) {
    for (const layer of layers) {
      const mean = new Map(layer.map((k) => {
        const near = edges.filter(([a, b]) => a === k || b === k).map(([a, b]) => y.get(a === k ? b : a));
        return [k, near.length ? near.reduce((p, q) => p + q, 0) / near.length : y.get(k)];
      }));
      layer.sort((a, b) => mean.get(a) - mean.get(b));
      spread(layer);
    }
  }
  return new Map(layers.flatMap((layer, i) => layer.map((k) => [k, layers.length > 1 ? [i / (layers.length - 1), y.get(k)] : [y.get(k), 0.5]])));
}

const topologyView = {
  get sections() { return [topoSet.by === "app" ? "apps" : "edges"]; },
  mount(root) {
    const picture = svg("svg", { class: "topo", role: "img", "aria-label": t("topology") }), table = h("div"), tools = h("div.toolbar.wrap");
    root.append(h("h1", t("topology")), card("", tools, h("p.soft", t("topoHelp")), picture, table));
    const seen = new Map(); // edges there have been: one that rests for a while moves nothing
    let places = new Map(), shape = "", known = "", chosen = null;

    function members() {
      const list = new Map();
      for (const [addr, n] of rowsOf("nodes")) {
        const key = topoSet.by === "app" ? n.Name || "" : addr;
        const m = list.get(key) || { mark: 0, nodes: 0, name: topoSet.by === "app" ? n.Name || t("noName") : n.Name || addr, addr };
        if (n.Mark !== 4) m.nodes++;
        m.mark = n.Mark === 4 ? m.mark || 4 : Math.max(m.mark === 4 ? 0 : m.mark, n.Mark);
        list.set(key, m);
      }
      return list;
    }

    function drawTools() {
      const few = rowsOf("nodes").size <= topoMost;
      if (!few && topoSet.by === "node") {
        topoSet.by = "app";
        return reopen();
      }
      if (known === String(few)) return null;
      known = String(few);
      return tools.replaceChildren(radios(t("onePlace"), "topo", [["app", t("gApp")], ...(few ? [["node", t("gNode")]] : [])], topoSet.by, (v) => { topoSet.by = v; reopen(); }));
    }

    function draw() {
      const list = members(), keys = [...list.keys()].sort(natural);
      const edges = [...rowsOf(topoSet.by === "app" ? "apps" : "edges")].map(([k, e]) => [...k.split("\0"), e]).filter(([a, b]) => list.has(a) && list.has(b));
      for (const [a, b] of edges) seen.set(a + "\0" + b, [a, b]);
      const now = keys.join() + seen.size;
      if (now !== shape) places = layout(keys, [...seen.values()].filter(([a, b]) => list.has(a) && list.has(b)));
      shape = now;
      const w = Math.max(320, picture.parentNode.clientWidth || 800), column = Math.max(1, ...[...Map.groupBy(places.values(), (p) => p[0]).values()].map((c) => c.length)), hgt = Math.max(260, column * (keys.length > 40 ? 26 : keys.length > 15 ? 46 : 84)), pad = Math.min(90, w * 0.14);
      set(picture, "viewBox", `0 0 ${w} ${hgt}`);
      const xy = (k) => [pad + places.get(k)[0] * (w - 2 * pad), places.get(k)[1] * (hgt - 20)];
      const r = keys.length > 40 ? 9 : keys.length > 15 ? 14 : 20, most = Math.max(...edges.map(([, , e]) => e.Calls), 1e-9), many = chosen === null && edges.length > 150;
      const dim = (a, b) => (chosen !== null && chosen !== a && chosen !== b ? " dim" : "");
      picture.replaceChildren(
        svg("defs", {}, ["arrow", "arrow-ill"].map((id) => svg("marker", { id, viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "9", markerHeight: "9", markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8Z" })))),
        ...edges.map(([a, b, e]) => {
          const ill = e.Errors / e.Calls >= 0.01, [x1, y1] = xy(a), [x2, y2] = xy(b), s = x2 < x1 ? -1 : 1, bend = Math.abs(x2 - x1) / 2 || r * 5;
          const line = a === b ? `M${x1 - r * 0.6} ${y1 - r}C${x1 - r * 2} ${y1 - r * 3} ${x1 + r * 2} ${y1 - r * 3} ${x1 + r * 0.7} ${y1 - r - 3}`
            : x1 === x2 ? `M${x1 + r} ${y1}C${x1 + bend} ${y1} ${x2 + bend} ${y2} ${x2 + r + 6} ${y2}`
            : `M${x1 + s * r} ${y1}C${x1 + s * bend} ${y1} ${x2 - s * bend} ${y2} ${x2 - s * (r + 6)} ${y2}`;
          return svg("path", { class: "edge" + (ill ? " ill" : "") + (many ? " many" : "") + dim(a, b), d: line, "stroke-width": (0.75 + (many ? 1 : 4) * Math.sqrt(e.Calls / most)).toFixed(2), "marker-end": `url(#arrow${ill ? "-ill" : ""})` },
            svg("title", {}, `${a} → ${b}: ${rate(e.Calls)}`));
        }),
        ...keys.map((k) => {
          const m = list.get(k), [x, y] = xy(k);
          const text = m.name.length > 18 ? m.name.slice(0, 17) + "…" : m.name;
          return svg("g", { class: "place m" + m.mark + dim(k, k), onclick: () => { chosen = chosen === k ? null : k; draw(); } }, svg("circle", { cx: x, cy: y, r }),
            topoSet.by === "app" && svg("text", { class: "count", x, y: y + 4 }, String(m.nodes)),
            (keys.length <= 40 || chosen === k) && svg("text", { x, y: y + r + 15 }, text), svg("title", {}, k + " " + t("m" + m.mark)));
        }));
      const flat = edges.filter(([a, b]) => chosen === null || chosen === a || chosen === b).sort((a, b) => b[2].Calls - a[2].Calls || (a[0] + a[1]).localeCompare(b[0] + b[1])).slice(0, 100);
      const nameOf = (k) => (topoSet.by === "app" ? k || t("noName") : nodeName(k) + " " + k);
      table.replaceChildren(flat.length ? plainTable([[t("from")], [t("to")], [t("calls"), 1], [t("errors"), 1], [t("what")]],
        flat.map(([a, b, e]) => [nameOf(a), nameOf(b), rate(e.Calls), rate(e.Errors), e.Names.join(", ")])) : h("p.soft.pad", t("noCalls")));
    }

    addEventListener("resize", draw);
    return { update() { drawTools(); draw(); }, end: () => removeEventListener("resize", draw) };
  },
};
