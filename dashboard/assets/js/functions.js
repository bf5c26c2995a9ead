// Functions: who offers them, how they do.

const functionsView = {
  sections: ["functions"],
  mount(root) {
    const stateOf = (f) => (!Object.keys(f.Providers).length ? 7 : f.Open ? 5 : f.Signatures.length > 1 ? 2 : f.Calls && f.Errors / f.Calls >= 0.01 ? 5 : 1);
    const words = (f) => (!Object.keys(f.Providers).length ? t("tNone") : f.Open ? t("openHere") : f.Signatures.length > 1 ? t("signatures") + " " + f.Signatures.length : stateOf(f) === 5 ? t("fails") : t("well"));
    const table = liveTable({
      caption: t("functions"), open: openFunction,
      columns: [
        { label: t("fn"), text: (f, name) => name, cls: "wide" },
        { label: t("state"), text: words, cls: "p3", sort: (f) => -stateOf(f), draw: (td, f) => {
          if (!td.firstChild) td.append(badge(1));
          setBadge(td.firstChild, stateOf(f), words(f));
        } },
        { label: t("providers"), num: true, text: (f) => number(Object.keys(f.Providers).length), sort: (f) => Object.keys(f.Providers).length, cls: "p2" },
        { label: t("calls"), num: true, text: (f) => rate(f.Calls), sort: (f) => f.Calls },
        { label: t("errors"), num: true, text: (f) => rate(f.Errors), sort: (f) => f.Errors },
        { label: t("median"), num: true, text: (f) => micros(f.P50), sort: (f) => f.P50, cls: "p3" },
        { label: t("p99"), num: true, text: (f) => micros(f.P99), sort: (f) => f.P99, cls: "p2" },
        { label: t("retries"), num: true, text: (f) => rate(f.Retries), sort: (f) => f.Retries, cls: "p4" },
        { label: t("busy"), num: true, text: (f) => number(f.Running), sort: (f) => f.Running || 0, cls: "p4" },
      ],
    });
    root.append(h("div.toolbar", h("h1", t("functions")), filterBox(table, t("filterFns"), () => {})), table.element);
    const hidden = h("p.soft", { hidden: true });
    root.append(hidden);
    return {
      update() {
        table.update(rowsOf("functions"));
        hidden.hidden = !sum().Hidden;
        put(hidden, t("hidden", sum().Hidden));
      },
      end: table.end,
    };
  },
};

function openFunction(name) {
  const f = rowsOf("functions").get(name);
  if (!f) return;
  const all = Object.values(f.Providers).reduce((a, b) => a + b, 0);
  const shares = Object.entries(f.Providers).sort((a, b) => b[1] - a[1] || natural(a[0], b[0])).slice(0, 200).map(([addr, n]) => {
    const bar = h("progress", { value: String(all ? n / all : 0), "aria-hidden": "true" });
    return [nodeName(addr), addr, rate(n), h("span.share", bar, all ? percent(n / all) : none), (f.Open || []).includes(addr) ? badge(5, t("openHere")) : ""];
  });
  const d = dialog(name, f.Signatures.map((s) => h("pre.code", s)), f.Doc && h("p.soft", f.Doc),
    h("p.buttons", f.Callable && button(".primary", { onclick: () => { d.close(); startCall(name); } }, t("tryIt")),
      me.Actions && f.Mine && [twice(t("pause"), (b) => act({ Do: "pause", Name: name }, b)), button("", { onclick: (e) => act({ Do: "resume", Name: name }, e.target) }, t("resume"))]),
    f.Codes && [h("h3", t("codes")), plainTable([[t("codes")], [t("errors"), 1]], Object.entries(f.Codes).map(([c, n]) => [c, rate(n)]))],
    h("h3", t("shares")), plainTable([[t("name")], [t("address")], [t("calls"), 1], [t("shares")], [""]], shares));
}
