// Topology: who calls whom, from left to right: who is called stands to the right of who calls. The places are found once
// and stay: a picture that moves cannot be read.

let byApp = true;
const topoMost = 100; // nodes
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
        const near = edges.filter((e) => e.includes(k)).map(([a, b]) => y.get(a === k ? b : a));
        return [k, near.length ? near.reduce((p, q) => p + q) / near.length : y.get(k)];
      }));
      layer.sort((a, b) => mean.get(a) - mean.get(b));
      spread(layer);
    }
  }
  const wide = layers.length - 1;
  return { tallest: wide ? Math.max(...layers.map((l) => l.length)) : 1,
    places: new Map(layers.flatMap((layer, i) => layer.map((k) => [k, wide ? [i / wide, y.get(k)] : [y.get(k), 0.5]]))) };
}

// circles are what is drawn: an application or a node, with the worst mark of those that have not left.
function circles() {
  const list = new Map();
  for (const [addr, n] of rowsOf("nodes")) {
    const key = byApp ? n.Name || "" : addr, m = list.get(key) || { mark: 4, nodes: 0, name: n.Name || (byApp ? t("noName") : addr) };
    if (n.Mark !== 4) m.mark = m.nodes++ ? Math.max(m.mark, n.Mark) : n.Mark;
    list.set(key, m);
  }
  return list;
}

const topologyView = {
  get sections() { return [byApp ? "apps" : "edges"]; },
  mount(root) {
    const picture = svg("svg", { class: "topo", role: "img", "aria-label": t("topology") }), table = h("div"), tools = h("div.toolbar.wrap");
    root.append(h("h1", t("topology")), card("", tools, h("p.soft", t("topoHelp")), picture, table));
    const seen = new Map(); // edges there have been: one that rests for a while moves nothing
    let shape = "", known, chosen = null, made, at, r;

    const choose = (isApp) => {
      byApp = isApp;
      chosen = null;
      reopen();
    };

    function drawTools() {
      const few = rowsOf("nodes").size <= topoMost;
      if (!few && !byApp) return choose(true);
      if (known === few) return null;
      known = few;
      return tools.replaceChildren(radios(t("onePlace"), "topo", [["app", t("gApp")], ...(few ? [["node", t("gNode")]] : [])], byApp ? "app" : "node", (v) => choose(v === "app")));
    }

    const isFar = (...keys) => chosen !== null && !keys.includes(chosen);

    // arrow goes from the side of one circle to the side of another.
    function arrow([a, b, e], most, many) {
      const [x1, y1] = at(a), [x2, y2] = at(b), s = x2 < x1 ? -1 : 1, bend = Math.abs(x2 - x1) / 2, ill = failsOften(e) ? "ill" : "";
      const d = bend ? `M${x1 + s * r} ${y1}C${x1 + s * bend} ${y1} ${x2 - s * bend} ${y2} ${x2 - s * (r + 6)} ${y2}`
        : `M${x1 + r} ${y1 - 4}C${x1 + 5 * r} ${y1 - r} ${x2 + 5 * r} ${y2 + r} ${x2 + r + 6} ${y2 + 4}`;
      return svg("path", { class: ["edge", ill, many ? "many" : "", isFar(a, b) ? "dim" : ""].join(" "), d, "stroke-width": (0.75 + (many ? 1 : 4) * Math.sqrt(e.Calls / most)).toFixed(2), "marker-end": `url(#a${ill})` },
        svg("title", {}, `${a} → ${b}: ${rate(e.Calls)}`));
    }

    function circle(k, m, isNamed) {
      const [x, y] = at(k), name = m.name.length > 18 ? m.name.slice(0, 17) + "…" : m.name;
      return svg("g", { class: `place m${m.mark}${isFar(k) ? " dim" : ""}`, onclick: () => { chosen = chosen === k ? null : k; draw(); } },
        svg("circle", { cx: x, cy: y, r }), byApp && svg("text", { class: "count", x, y: y + 4 }, m.nodes),
        (isNamed || chosen === k) && svg("text", { x, y: y + r + 15 }, name), svg("title", {}, k + " " + t("m" + m.mark)));
    }

    function draw() {
      const list = circles(), keys = [...list.keys()].sort(natural), isSmall = keys.length > 40;
      const edges = [...rowsOf(topologyView.sections[0])].map(([k, e]) => [...k.split("\0"), e]).filter(([a, b]) => list.has(a) && list.has(b));
      for (const [a, b] of edges) seen.set(a + "\0" + b, [a, b]);
      const now = keys.join() + seen.size;
      if (now !== shape) made = layout(keys, [...seen.values()].filter(([a, b]) => list.has(a) && list.has(b)));
      shape = now;
      const w = Math.max(320, picture.parentNode.clientWidth), tall = Math.max(260, made.tallest * (isSmall ? 26 : byApp ? 84 : 60)), pad = Math.min(90, w * 0.14);
      r = isSmall ? 9 : byApp ? 20 : 14;
      at = (k) => [pad + made.places.get(k)[0] * (w - 2 * pad), made.places.get(k)[1] * (tall - 20)];
      set(picture, "viewBox", `0 0 ${w} ${tall}`);
      const most = Math.max(...edges.map(([, , e]) => e.Calls)), many = chosen === null && edges.length > 150;
      picture.replaceChildren(svg("defs", {}, ["a", "aill"].map((id) => svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8Z" })))),
        ...edges.map((e) => arrow(e, most, many)), ...keys.map((k) => circle(k, list.get(k), !isSmall)));
      const name = (k) => (byApp ? list.get(k).name : longName(k));
      const flat = edges.filter(([a, b]) => !isFar(a, b)).sort((a, b) => b[2].Calls - a[2].Calls || natural(a[0] + a[1], b[0] + b[1])).slice(0, 100);
      table.replaceChildren(flat.length ? plainTable([[t("from")], [t("to")], [t("calls"), 1], [t("errors"), 1], [t("what")]],
        flat.map(([a, b, e]) => [name(a), name(b), rate(e.Calls), rate(e.Errors), e.Names.join(", ")])) : h("p.soft", t("noCalls")));
    }

    return { update() { drawTools(); draw(); } };
  },
};
