// The overview: is all well, and since when not.

const isIll = (n) => n.Mark >= 5 || n.Mark === 3 || n.Isolated;

// troublesNow are the things that somebody should look at, the worst first: [mark, what, text, since, key, kind].
function troublesNow() {
  const list = [];
  for (const [addr, n] of rowsOf("nodes")) {
    const who = longName(addr);
    const since = n.Since ? t("since", age(serverNow() - n.Since)) : "";
    if (n.Mark >= 5 || n.Mark === 3) list.push([n.Mark, who, n.By && n.Mark === 5 ? t("by", n.By) : "", since, addr]);
    if (n.Isolated) list.push([6, who, t("tIsolated"), "", addr]);
    if (n.Why && n.Mark < 5) list.push([0, who, t("tWhy", n.Why), "", addr]);
    if (n.Loss >= 0.02 && n.Mark < 5) list.push([3, who, t("tLoss", percent(n.Loss)), "", addr]);
    if (n.Open) list.push([5, who, t("tOpen", n.Open.join(", ")), "", addr]);
  }
  for (const [name, f] of rowsOf("functions")) {
    if (!providersOf(f)) list.push([7, name, t("tNone"), "", null]);
    if (f.Signatures.length > 1) list.push([2, name, t("tSkew", f.Signatures.length), "", null]);
    if (failsOften(f)) list.push([5, name, t("tFails", percent(f.Errors / f.Calls)), "", null]);
  }
  return list.sort((a, b) => b[0] - a[0] || natural(a[1], b[1]));
}

const orZero = (shown, unit) => (shown === none ? "0 " + unit : shown);

function tile(label) {
  const value = h("strong"), unit = h("span.unit"), note = h("div.soft.note");
  const e = h("div.tile", h("div.label", label), h("div.value", value, unit), note);
  e.show = (text, more) => {
    const [n, u] = text.split(" ");
    put(value, n);
    put(unit, u ? " " + u : "");
    put(note, more || "");
  };
  return e;
}

const overview = {
  sections: ["history", "functions"],
  mount(root) {
    const head = h("h1", t("loading")), why = h("p.soft.lead");
    const tiles = ["calls", "errors", "median", "p99", "retries", "worstLoss"].map((k) => tile(t(k)));
    const curves = [spark(), spark(), null, spark()];
    curves.forEach((c, i) => c && tiles[i].append(c));
    const apps = h("div.apps"), list = h("ul.troubles"), answered = h("p.soft.note");
    root.append(h("div.headline", { role: "status" }, head, why), h("div.tiles", tiles),
      h("div.two", card(t("applications"), apps, answered), card(t("troubles"), list)));
    let shape = "", said = "";

    function drawApps() {
      const groups = new Map();
      for (const addr of [...rowsOf("nodes").keys()].sort(natural)) {
        const n = rowsOf("nodes").get(addr), name = n.Name || "";
        if (!groups.has(name)) groups.set(name, []);
        groups.get(name).push(addr);
      }
      const now = JSON.stringify([...groups]);
      if (now !== shape) {
        shape = now;
        apps.replaceChildren(...[...groups.keys()].sort(natural).map((name) => {
          const cells = groups.get(name).map((addr) => {
            const c = h("span", { onclick: () => openNode(addr) });
            c.addr = addr;
            return c;
          });
          const row = h("div.app", h("div.appname", h("b", name || t("noName")), h("span.soft")),
            h("div.cells", { role: "img" }, cells));
          row.addrs = groups.get(name);
          return row;
        }));
      }
      for (const row of apps.children) {
        const versions = new Set(), marks = {};
        for (const c of row.lastChild.children) {
          const n = rowsOf("nodes").get(c.addr);
          if (n.Version && n.Mark < 4) versions.add(n.Version);
          marks[n.Mark] = (marks[n.Mark] || 0) + 1;
          set(c, "class", "cell m" + n.Mark);
          set(c, "title", c.addr + " " + t("m" + n.Mark));
        }
        put(row.firstChild.lastChild, [row.addrs.length - (marks[4] || 0), ...[...versions].sort()].join(" · "));
        set(row.lastChild, "aria-label", Object.entries(marks).map(([m, n]) => n + " " + t("m" + m)).join(", "));
      }
    }

    function drawTroubles() {
      const all = troublesNow(), now = JSON.stringify(all) + chinese;
      if (now === said) return;
      said = now;
      const items = all.slice(0, 50).map(([mark, who, text, since, addr]) => h("li", {},
        badge(mark, addr === null ? t("fn") : undefined), h("div", addr ? button(".link", { onclick: () => openNode(addr) }, who) : h("span", who),
          text && h("div.soft", text)), h("span.soft.since", since)));
      list.replaceChildren(...(items.length ? items : [h("li.calm", badge(1, t("noTroubles")))]));
    }

    return {
      update() {
        const s = sum(), nodes = [...rowsOf("nodes").values()].filter((n) => n.Mark !== 4), ill = nodes.filter(isIll).length;
        put(head, s.Isolated ? t("cutOff") : ill === 1 ? t("oneIll", nodes.length) : ill ? t("someIll", ill, nodes.length) : nodes.length === 1 ? t("oneWell") : t("allWell", nodes.length));
        set(head, "class", s.Isolated || ill ? "ill" : "");
        put(why, s.Isolated ? t("cutOffText", s.Self) : s.Joined === false ? t("notJoined") : "");
        why.hidden = !why.textContent;
        const points = [...rowsOf("history")].sort((a, b) => a[0] - b[0]).map((p) => p[1]);
        const span = points.length > 1 ? t("last4", Math.max(1, Math.round((points.at(-1)[0] - points[0][0]) / 60000))) : "";
        tiles[0].show(rate(s.Calls), span);
        tiles[1].show(orZero(rate(s.Errors), t("perS")), s.Calls && orZero(percent(s.Errors / s.Calls), "%"));
        tiles[2].show(micros(s.P50));
        tiles[3].show(micros(s.P99), span);
        tiles[4].show(orZero(rate(s.Retries), t("perS")));
        tiles[5].show(orZero(percent(s.Loss), "%"));
        tiles[1].classList.toggle("ill", s.Errors > 0);
        [1, 2, null, 3].forEach((at, i) => at && curves[i].draw(points.map((p) => p[at])));
        put(answered, t("asked", s.Answered || 0, s.Nodes || 0));
        answered.hidden = s.Answered === s.Nodes;
        drawApps();
        drawTroubles();
      },
    };
  },
};
