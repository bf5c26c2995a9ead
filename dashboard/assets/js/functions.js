// Functions: who offers them, how they do.

const providersOf = (f) => Object.keys(f.Providers).length;
const failsOften = (f) => f.Errors / f.Calls >= 0.01;

const functionsView = {
  sections: ["functions"],
  mount(root) {
    const stateOf = (f) => (!providersOf(f) ? [7, t("tNone")] : f.Open ? [5, t("openHere")] : f.Signatures.length > 1 ? [2, t("signatures") + " " + f.Signatures.length]
      : failsOften(f) ? [5, t("fails")] : [1, t("well")]);
    const table = liveTable({
      caption: t("functions"), open: openFunction,
      columns: [
        { label: t("fn"), text: (f, name) => name, cls: "wide" },
        { label: t("state"), text: (f) => stateOf(f)[1], cls: "p3", sort: (f) => -stateOf(f)[0], draw: (td, f) => showBadge(td, ...stateOf(f)) },
        { label: t("providers"), num: true, text: (f) => number(providersOf(f)), sort: providersOf, cls: "p2" },
        numbers("calls", rate, "Calls"), numbers("errors", rate, "Errors"), numbers("median", micros, "P50", "p3"),
        numbers("p99", micros, "P99", "p2"), numbers("retries", rate, "Retries", "p4"), numbers("busy", number, "Running", "p4"),
      ],
    });
    root.append(h("div.toolbar", h("h1", t("functions")), filterBox("filterFns", table.filter)), table.element);
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
    const bar = h("progress", { value: all ? n / all : 0, "aria-hidden": "true" });
    return [nodeName(addr), addr, rate(n), h("span.share", bar, all ? percent(n / all) : none), (f.Open || []).includes(addr) ? badge(5, t("openHere")) : ""];
  });
  const d = dialog(name, f.Signatures.map((s) => h("pre.code", s)), f.Doc && h("p.soft", f.Doc),
    h("p.buttons", f.Callable && button(".primary", { onclick: () => { d.close(); startCall(name); } }, t("tryIt")),
      me.Actions && f.Mine && [twice(t("pause"), (b) => act({ Do: "pause", Name: name }, b)), button("", { onclick: (e) => act({ Do: "resume", Name: name }, e.target) }, t("resume"))]),
    f.Codes && [h("h3", t("codes")), plainTable([[t("codes")], [t("errors"), 1]], Object.entries(f.Codes).map(([c, n]) => [c, rate(n)]))],
    h("h3", t("shares")), plainTable([[t("name")], [t("address")], [t("calls"), 1], [t("shares")], [""]], shares));
}
