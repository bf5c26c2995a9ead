// Nodes: a row for each instance, which opens to what that one says.

const tagsText = (tags) => Object.entries(tags || {}).sort().map(([k, v]) => k + "=" + v).join(" ");

const nodesView = {
  sections: [],
  mount(root) {
    const draws = (td, n) => {
      if (!td.firstChild) td.append(badge(n.Mark));
      setBadge(td.firstChild, n.Mark);
    };
    const mine = (td, n, addr) => {
      put(td, addr);
      td.classList.toggle("self", Boolean(n.Self));
      if (n.Self) set(td, "title", t("self"));
    };
    const table = liveTable({
      caption: t("nodes"), open: openNode, insight: seeRows,
      columns: [
        { label: t("state"), text: (n) => t("m" + n.Mark), draw: draws, sort: (n) => -n.Mark, cls: "wstate" },
        { label: t("name"), text: (n) => n.Name || none },
        { label: t("address"), text: (n, addr) => addr, draw: mine, cls: "mono" },
        { label: t("version"), text: (n) => n.Version || none, cls: "p3" },
        { label: t("tags"), text: (n) => tagsText(n.Tags) || none, cls: "p4 soft" },
        { label: t("up"), num: true, text: (n) => (n.Started && n.Mark < 4 ? age(serverNow() - n.Started) : none), sort: (n) => (n.Started ? -n.Started : -1e15), cls: "p3" },
        { label: t("rtt"), num: true, text: (n) => micros(n.RTT), sort: (n) => n.RTT || 0 },
        { label: t("loss"), num: true, text: (n) => percent(n.Loss), sort: (n) => n.Loss || 0, cls: "p2" },
        { label: t("served"), num: true, text: (n) => rate(n.Served), sort: (n) => n.Served, cls: "p2" },
        { label: t("p99"), num: true, text: (n) => micros(n.P99), sort: (n) => n.P99, cls: "p4" },
        { label: t("busy"), num: true, text: (n) => number(n.Running), sort: (n) => n.Running, cls: "p4" },
        { label: t("queued"), num: true, text: (n) => number(n.Queued), sort: (n) => n.Queued, cls: "p4" },
        { label: t("cpu"), num: true, text: (n) => percent(n.CPU), sort: (n) => n.CPU, cls: "p3" },
        { label: t("heap"), num: true, text: (n) => bytes(n.Heap), sort: (n) => n.Heap, cls: "p3" },
      ],
    });
    const count = h("span.soft");
    root.append(h("div.toolbar", h("h1", t("nodes")), filterBox(table, t("filterNodes"), () => {}), count), table.element);
    return {
      update() {
        table.update(rowsOf("nodes"));
        put(count, String(rowsOf("nodes").size));
      },
      end: table.end,
    };
  },
};

const facts = (list) => h("dl.facts", list.filter(([, v]) => v && v !== none).map(([k, v]) => h("div", h("dt", k), h("dd", v))));

// openNode asks a member for all that it says.
async function openNode(addr) {
  const n = rowsOf("nodes").get(addr) || {};
  const body = h("div.stack", h("p.soft", t("loading")));
  const actions = me.Actions && h("p", n.Self && twice(t("leave"), (b) => act({ Do: "leave" }, b)),
    (n.Mark === 7 || n.Mark === 4) && twice(t("forget"), (b) => act({ Do: "forget", Addr: addr }, b)));
  dialog((n.Name || t("noName")) + " " + addr, facts([[t("state"), badge(n.Mark || 0)],
    [t("since", ""), n.Since ? age(serverNow() - n.Since) : ""], [t("state"), n.By ? t("by", n.By) : ""], [t("tags"), tagsText(n.Tags)],
    [t("rtt"), micros(n.RTT)], [t("loss"), percent(n.Loss)]]), actions, body);
  try {
    const v = await api("view?addr=" + encodeURIComponent(addr));
    body.replaceChildren(facts([[t("version"), v.Version], ["Go", v.Go], ["broach", v.Library.replace(/^broach /, "")],
      [t("up"), age(v.Uptime)], [t("heap"), bytes(v.Heap)], [t("goroutines"), number(v.Goroutines)]]),
    ...viewTables(v));
  } catch (e) {
    body.replaceChildren(h("p.ill", t("noAnswer") + ": " + e.message));
  }
}

function viewTables(v) {
  const others = (v.Members || []).filter((m) => m.Addr !== v.Addr);
  return [
    v.Served && [h("h3", t("itServes")), plainTable([[t("fn")], [t("calls"), 1], [t("errors"), 1], [t("median"), 1], [t("p99"), 1]],
      v.Served.map((f) => [f.Name, number(f.Calls), number(f.Errors), micros(f.P50), micros(f.P99)]))],
    others.length > 0 && [h("h3", t("believes")), plainTable([[t("state")], [t("name")], [t("address")], [t("rtt"), 1], [t("loss"), 1]],
      others.sort((a, b) => b.Mark - a.Mark).slice(0, 200).map((m) => [badge(m.Mark), m.Name || none, m.Addr, micros(m.RTT), percent(m.Loss)]))],
    v.Counts && [h("h3", t("counts")), plainTable([[t("name")], [t("value"), 1]], v.Counts.map((c) => [c.Name, digits(c.Value)]))],
  ].flat().filter(Boolean);
}

async function act(body, button) {
  try {
    await api("do", body);
    put(button, t("done"));
  } catch (e) {
    put(button, e.message);
  }
}
