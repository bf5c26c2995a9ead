// Settings: what is in force at a node, and whether somebody has set it.

const settingsView = {
  sections: [],
  mount(root) {
    const pick = h("select", { id: "settings-of", onchange: () => load(pick.value) }), out = h("div");
    root.append(h("div.toolbar", h("h1", t("settings")), h("label", { for: "settings-of", class: "soft" }, t("ofNode")), pick), card("", out));
    let listed = "";
    const load = (addr) => ask(out, "view?addr=", addr, (v) => [plainTable([[t("key")], [t("value")], ["", 1]], (v.Settings || []).map((s) => [
      h("span.mono", s.Key), h("span", { class: s.Default ? "soft mono" : "mono" }, s.Value || none),
      h("span", { class: s.Default ? "soft" : "strong" }, t(s.Default ? "isDefault" : "isSet"))]))]);
    return {
      update() {
        const keys = [...rowsOf("nodes").keys()].sort(natural), line = keys.join();
        if (line === listed) return;
        const isFirst = !listed, was = pick.value || sum().Self;
        listed = line;
        pick.replaceChildren(...keys.map((a) => h("option", { value: a }, longName(a))));
        pick.value = keys.includes(was) ? was : keys[0];
        if (isFirst) load(pick.value);
      },
    };
  },
};
