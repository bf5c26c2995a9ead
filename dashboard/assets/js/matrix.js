// Who sees whom: a row for each node, with what it believes of the others. Drawn on a canvas, for 100 nodes are 10,000
// cells; what a cell says stands below it in words, and is what a screen reader hears.

const matrixMost = 150;
const matrixSet = { by: "", colour: "state" };

// matrixMode is how nodes are put together: single ones only where there are few.
const matrixMode = () => (matrixSet.by === "node" || !matrixSet.by ? (rowsOf("nodes").size > matrixMost ? "app" : "node") : matrixSet.by);
const matrixSection = () => (matrixMode() === "node" ? "beliefs" : "beliefs:" + matrixMode());

// css is a colour of the style sheet as it is in the light of now.
function css(name) {
  const probe = h("i", { hidden: true });
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

// ways are how a cell is painted, by what it says: a colour and how much of it, on a scale of powers for numbers.
const scaled = (v, colour, from, to) => (v ? [colour, 0.12 + 0.88 * Math.max(0, Math.min(1, Math.log(v / from) / Math.log(to / from)))] : ["--line", 1]);
const ways = {
  state: ([mark]) => ["--m" + mark, mark === 1 ? 0.55 : 1],
  rtt: ([, rtt]) => scaled(rtt, "--accent", 50, 500000),
  loss: ([, , loss]) => scaled(loss, "--m7", 0.001, 0.5),
};

const whoView = {
  get sections() { return ["odd", matrixSection()]; },
  mount(root) {
    const canvas = h("canvas.mono", { tabindex: "0", role: "img", "aria-label": t("who"), "aria-describedby": "matrix-cell" });
    const says = h("p", { id: "matrix-cell", class: "cellsays", "aria-live": "polite" });
    const odd = h("div"), help = h("p.soft"), legend = h("div.legend"), tools = h("div.toolbar.wrap");
    root.append(h("h1", t("who")), odd, card("", tools, help, h("div.scroll", canvas), says, legend));
    let keys = [], size = 20, left = 100, top = 0, at = [0, 1], known = "", oddSaid = "";

    function drawTools() {
      const tags = new Set();
      for (const n of rowsOf("nodes").values()) for (const k in n.Tags || {}) tags.add(k);
      const groups = [...(rowsOf("nodes").size <= matrixMost ? [["node", t("gNode")]] : []), ["app", t("gApp")], ["net", t("gNet")],
        ...[...tags].sort().slice(0, 6).map((k) => ["tag:" + k, k])];
      const now = JSON.stringify(groups);
      if (now === known) return;
      known = now;
      tools.replaceChildren(
        radios(t("colourBy"), "colour", [["state", t("asState")], ["rtt", t("asRtt")], ["loss", t("asLoss")]], matrixSet.colour, (v) => { matrixSet.colour = v; draw(); }),
        radios(t("groupBy"), "by", groups, matrixMode(), (v) => { matrixSet.by = v; at = [0, 1]; reopen(); }));
    }

    const label = (key) => (matrixMode() === "node" ? (nodeName(key) === key ? "" : nodeName(key) + " ") + key : key || t("noName"));
    const cellOf = (a, b) => {
      const row = rowsOf(matrixSection()).get(a);
      return row && (row.Cells || row)[b];
    };

    // fit finds out how large a cell may be, and makes the canvas as large as all of them.
    function fit(ctx) {
      const font = ctx.font = "12px " + getComputedStyle(canvas).fontFamily;
      left = Math.min(canvas.parentNode.clientWidth * 0.45, 18 + Math.max(...keys.map((k) => ctx.measureText(label(k)).width), 40));
      size = Math.max(6, Math.min(30, Math.floor((canvas.parentNode.clientWidth - left - 4) / Math.max(1, keys.length))));
      top = size < 14 ? 6 : 26;
      const ratio = devicePixelRatio || 1;
      for (const [side, px] of [["width", left], ["height", top]]) {
        const all = Math.ceil(px + keys.length * size + 2);
        canvas[side] = all * ratio;
        canvas.style[side] = all + "px";
      }
      ctx.scale(ratio, ratio);
      ctx.font = font; // a canvas of another size forgets it
      ctx.textBaseline = "middle";
    }

    function draw() {
      const ctx = canvas.getContext("2d"), isNode = matrixMode() === "node", colours = {}, gap = size > 12 ? 2 : size > 8 ? 1 : 0.5;
      const colour = (name) => (colours[name] = colours[name] || css(name));
      put(help, t(isNode ? "matrixHelp" : "matrixGroup"));
      keys = [...(isNode ? rowsOf("nodes") : rowsOf(matrixSection())).keys()].sort(natural);
      fit(ctx);
      const text = (words, x, y, name, most) => {
        ctx.globalAlpha = 1;
        ctx.fillStyle = colour(name);
        ctx.fillText(words, x, y, most);
      };
      keys.forEach((a, i) => {
        const y = top + i * size;
        ctx.textAlign = "left";
        if (size >= 11 || i % 2 === 0) text(label(a), 0, y + size / 2, "--soft", left - 12);
        ctx.textAlign = "center";
        if (top > 6) text(i + 1, left + (i + 0.5) * size, 12, "--soft");
        keys.forEach((b, j) => {
          const c = cellOf(a, b), x = left + j * size, [name, alpha] = isNode && a === b ? ["--line", 1] : c ? ways[matrixSet.colour](c) : ["--line", 0.3];
          ctx.globalAlpha = alpha;
          ctx.fillStyle = colour(name);
          ctx.fillRect(x, y, size - gap, size - gap);
          if (c && c[0] > 5 && size > 11) text(c[0] === 7 ? "✕" : "–", x + (size - gap) / 2, y + size / 2, "--card"); // not by colour alone
        });
      });
      ctx.globalAlpha = 1;
      ctx.strokeStyle = colour("--ink");
      ctx.strokeRect(left + at[1] * size - 0.5, top + at[0] * size - 0.5, size - gap + 1, size - gap + 1);
      drawLegend();
      say();
    }

    function drawLegend() {
      const now = matrixSet.colour + chinese;
      if (legend.said === now) return;
      legend.said = now;
      legend.replaceChildren(...(matrixSet.colour === "state" ? [1, 2, 3, 5, 6, 7, 4].map((m) => badge(m)) : [t(matrixSet.colour === "rtt" ? "scaleRtt" : "scaleLoss")]));
    }

    function say() {
      const [a, b] = [keys[at[0]], keys[at[1]]];
      if (a === undefined || b === undefined) return put(says, "");
      const c = cellOf(a, b), words = matrixMode() === "node" && a === b ? t("itself") : !c ? t("notAsked")
        : [t("m" + c[0]), c[1] && micros(c[1]), c[2] ? t("lost1", percent(c[2])) : ""].filter(Boolean).join(" · ");
      return put(says, t("cellText", label(a), label(b), words));
    }

    function drawOdd() {
      const list = [...rowsOf("odd")].sort(), answered = matrixMode() === "node" ? rowsOf("beliefs").size : sum().Answered || 0, now = JSON.stringify([list, answered]);
      if (now === oddSaid) return;
      oddSaid = now;
      if (!list.length) return odd.replaceChildren(h("p.lead", answered ? badge(1, t("agree", answered)) : badge(0, t("loading"))));
      odd.replaceChildren(card(t("disagree"), h("ul.troubles", list.slice(0, 50).map(([addr, r]) => {
        const said = Object.keys(r.Says).reverse();
        const lines = said.map((m) => t("says", t("m" + m), r.Says[m].join(", ") + (r.Count[m] > r.Says[m].length ? " …" : "")));
        if (r.Alive) lines.push(t("says", t("m1"), r.Alive));
        return h("li", badge(said[0]), h("div", h("b", longName(addr)), lines.map((l) => h("div.soft", l))));
      }))));
    }

    const move = (i, j) => {
      at = [i, j].map((v) => Math.max(0, Math.min(keys.length - 1, v)));
      draw();
    };
    canvas.addEventListener("mousemove", (e) => {
      const r = canvas.getBoundingClientRect(), i = Math.floor((e.clientY - r.top - top) / size), j = Math.floor((e.clientX - r.left - left) / size);
      if (i >= 0 && j >= 0 && (i !== at[0] || j !== at[1])) move(i, j);
    });
    canvas.addEventListener("keydown", (e) => {
      const d = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
      if (!d) return;
      e.preventDefault();
      move(at[0] + d[0], at[1] + d[1]);
    });
    return {
      update(changed) {
        if (!stream.sections.includes(matrixSection())) return reopen(); // there are too many for single rows now
        drawTools();
        drawOdd();
        if (changed.has("nodes") || changed.has(matrixSection()) || changed.has("look")) draw();
        return null;
      },
    };
  },
};
