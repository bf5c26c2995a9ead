// Who sees whom: a row for each node, with what it believes of the others. Drawn on a canvas, for 100 nodes are 10,000
// cells; what a cell says stands below it in words, and is what a screen reader hears.

const matrixMost = 150;
const markNames = ["unknown", "alive", "draining", "unsteady", "left", "suspect", "unreachable", "offline"];
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

// shade is how much of the accent a value has, on a scale of powers.
const shade = (v, from, to) => (v ? 0.12 + 0.88 * Math.max(0, Math.min(1, Math.log(v / from) / Math.log(to / from))) : 0);

const whoView = {
  get sections() { return ["odd", matrixSection()]; },
  mount(root) {
    const canvas = h("canvas", { tabindex: "0", role: "img", "aria-describedby": "matrix-cell" });
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

    function draw() {
      const mode = matrixMode(), isNode = mode === "node";
      put(help, t(isNode ? "matrixHelp" : "matrixGroup"));
      keys = [...(isNode ? rowsOf("nodes") : rowsOf(matrixSection())).keys()].sort(natural);
      const width = canvas.parentNode.clientWidth || 600, n = Math.max(1, keys.length), ctx = canvas.getContext("2d"), font = "12px " + getComputedStyle(document.documentElement).getPropertyValue("--mono");
      ctx.font = font;
      left = Math.min(width * 0.45, 18 + Math.max(...keys.map((k) => ctx.measureText(label(k)).width), 40));
      size = Math.max(6, Math.min(30, Math.floor((width - left - 4) / n)));
      const isNamed = size >= 14;
      top = isNamed ? 26 : 6;
      const w = Math.ceil(left + n * size + 2), hgt = top + n * size + 2, ratio = devicePixelRatio || 1;
      if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(hgt * ratio)) {
        canvas.width = Math.round(w * ratio);
        canvas.height = Math.round(hgt * ratio);
        canvas.style.width = w + "px";
        canvas.style.height = hgt + "px";
      }
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx.clearRect(0, 0, w, hgt);
      ctx.font = font;
      ctx.textBaseline = "middle";
      const ink = css("--soft"), colours = [0, 1, 2, 3, 4, 5, 6, 7].map((m) => css("--m" + m)), accent = css("--accent"), line = css("--line");
      const bad = css("--m7"), card_ = css("--card"), gap = size > 12 ? 2 : size > 8 ? 1 : 0.5;
      keys.forEach((a, i) => {
        const y = top + i * size;
        ctx.globalAlpha = 1;
        ctx.fillStyle = ink;
        if (size >= 11 || i % 2 === 0) ctx.fillText(label(a), 0, y + size / 2, left - 12);
        if (isNamed) {
          ctx.textAlign = "center";
          ctx.fillText(String(i + 1), left + i * size + size / 2, 12);
          ctx.textAlign = "left";
        }
        keys.forEach((b, j) => {
          const c = cellOf(a, b), x = left + j * size;
          ctx.globalAlpha = 1;
          if (isNode && a === b) ctx.fillStyle = line;
          else if (!c) {
            ctx.strokeStyle = line;
            ctx.strokeRect(x + 1.5, y + 1.5, size - gap - 2, size - gap - 2);
            return;
          } else if (matrixSet.colour === "state") {
            ctx.fillStyle = colours[c[0]];
            ctx.globalAlpha = c[0] === 1 ? 0.55 : 1;
          } else if (matrixSet.colour === "rtt") {
            ctx.fillStyle = c[1] ? accent : line;
            ctx.globalAlpha = c[1] ? shade(c[1], 50, 500000) : 1;
          } else {
            ctx.fillStyle = c[2] ? bad : line;
            ctx.globalAlpha = c[2] ? shade(c[2], 0.001, 0.5) : 1;
          }
          ctx.fillRect(x + 0.5, y + 0.5, size - gap, size - gap);
          if (matrixSet.colour === "state" && c && c[0] >= 6 && size >= 12) { // not by colour alone
            ctx.globalAlpha = 1;
            ctx.strokeStyle = card_;
            ctx.lineWidth = 1.5;
            ctx.beginPath();
            ctx.moveTo(x + size * 0.3, y + size * 0.3);
            ctx.lineTo(x + size * 0.64, y + size * 0.64);
            if (c[0] === 7) {
              ctx.moveTo(x + size * 0.64, y + size * 0.3);
              ctx.lineTo(x + size * 0.3, y + size * 0.64);
            }
            ctx.stroke();
            ctx.lineWidth = 1;
          }
        });
      });
      ctx.globalAlpha = 1;
      ctx.strokeStyle = css("--ink");
      if (keys.length) ctx.strokeRect(left + at[1] * size - 0.5, top + at[0] * size - 0.5, size - gap + 2, size - gap + 2);
      set(canvas, "aria-label", t("who"));
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
      const isNode = matrixMode() === "node", c = cellOf(a, b), full = label;
      const words = isNode && a === b ? t("itself") : !c ? t("notAsked")
        : [t("m" + c[0]), c[1] && micros(c[1]), c[2] ? t("lost1", percent(c[2])) : ""].filter(Boolean).join(" · ");
      return put(says, t("cellText", full(a), full(b), words));
    }

    function drawOdd() {
      const list = [...rowsOf("odd")].sort(), answered = matrixMode() === "node" ? rowsOf("beliefs").size : sum().Answered || 0, now = JSON.stringify([list, answered]);
      if (now === oddSaid) return;
      oddSaid = now;
      if (!list.length) return odd.replaceChildren(h("p.lead", badge(answered ? 1 : 0, t("agree", answered))));
      odd.replaceChildren(card(t("disagree"), h("ul.troubles", list.slice(0, 50).map(([addr, r]) => {
        const said = markNames.map((name, m) => [m, r.Says[name], r.Count[name]]).filter(([, who]) => who).reverse();
        const lines = said.map(([m, who, n]) => t("says", t("m" + m), who.join(", ") + (n > who.length ? " +" + (n - who.length) : "")));
        if (r.Alive) lines.push(t("says", t("m1"), r.Alive));
        return h("li", badge(said[0][0]), h("div", h("b", nodeName(addr) + " " + addr), lines.map((l) => h("div.soft", l))));
      }))));
    }

    const move = (i, j) => {
      at = [i, j].map((v) => Math.max(0, Math.min(keys.length - 1, v)));
      draw();
    };
    canvas.addEventListener("mousemove", (e) => {
      const r = canvas.getBoundingClientRect(), i = Math.floor((e.clientY - r.top - top) / size), j = Math.floor((e.clientX - r.left - left) / size);
      if (i >= 0 && j >= 0 && i < keys.length && j < keys.length && (i !== at[0] || j !== at[1])) move(i, j);
    });
    canvas.addEventListener("keydown", (e) => {
      const d = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
      if (!d) return;
      e.preventDefault();
      move(at[0] + d[0], at[1] + d[1]);
    });
    addEventListener("resize", draw);
    return {
      update(changed) {
        if (!stream.sections.includes(matrixSection())) return reopen(); // there are too many for single rows now
        drawTools();
        drawOdd();
        if (changed.has("nodes") || changed.has(matrixSection()) || changed.has("theme")) draw();
        return null;
      },
      end: () => removeEventListener("resize", draw),
    };
  },
};
