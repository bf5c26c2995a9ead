// Nodes: a row for each instance, which opens to what that one says.

const tagsText = (tags) => Object.entries(tags || {}).sort().map(([k, v]) => k + "=" + v).join(" ");

const nodesView = {
  sections: [],
  mount(root) {
    const mine = (td, n, addr) => {
      put(td, addr);
      td.classList.toggle("strong", Boolean(n.Self));
      if (n.Self) set(td, "title", t("self"));
    };
    const table = liveTable({
      caption: t("nodes"), open: openNode, insight: seeRows,
      columns: [
        { label: t("state"), text: (n) => t("m" + n.Mark), draw: (td, n) => showBadge(td, n.Mark), sort: (n) => -n.Mark, cls: "wstate" },
        { label: t("name"), text: (n) => n.Name || none },
        { label: t("address"), text: (n, addr) => addr, draw: mine, cls: "mono" },
        { label: t("version"), text: (n) => n.Version || none, cls: "p3" },
        { label: t("tags"), text: (n) => tagsText(n.Tags) || none, cls: "p4 soft" },
        { label: t("up"), num: true, text: (n) => (n.Started && n.Mark < 4 ? age(serverNow() - n.Started) : none), sort: (n) => (n.Started ? -n.Started : -1e15), cls: "p3" },
        numbers("rtt", micros, "RTT"), numbers("loss", percent, "Loss", "p2"), numbers("served", rate, "Served", "p2"),
        numbers("p99", micros, "P99", "p4"), numbers("busy", number, "Running", "p4"), numbers("queued", number, "Queued", "p4"),
        numbers("cpu", percent, "CPU", "p3"), numbers("heap", bytes, "Heap", "p3"),
      ],
    });
    const count = h("span.soft");
    root.append(h("div.toolbar", h("h1", t("nodes")), filterBox("filterNodes", table.filter), count), table.element);
    return {
      update() {
        table.update(rowsOf("nodes"));
        put(count, rowsOf("nodes").size);
      },
      end: table.end,
    };
  },
};

const complaint = (e) => h("p.ill", e.message);

// ask shows in an element what is answered about a name or an address, or why not, unless something else has been asked
// for there meanwhile.
async function ask(element, path, about, show) {
  const turn = element.turn = {}, said = await api(path + encodeURIComponent(about)).catch((e) => e);
  if (element.turn === turn) element.replaceChildren(...(said instanceof Error ? [complaint(said)] : show(said)));
}

const facts = (list) => h("dl.facts", list.filter(([, v]) => v && v !== none).map(([k, v]) => h("div", h("dt", k), h("dd", v))));

// openNode shows what is known of a member, and then what it says itself.
function openNode(addr) {
  const n = rowsOf("nodes").get(addr) || {};
  const body = h("div.stack", h("p.soft", t("loading")));
  const actions = me.Actions && h("p", n.Self && twice(t("leave"), (b) => act({ Do: "leave" }, b)),
    (n.Mark === 7 || n.Mark === 4) && twice(t("forget"), (b) => act({ Do: "forget", Addr: addr }, b)));
  dialog(longName(addr), facts([[t("state"), badge(n.Mark || 0)],
    [t("since", ""), n.Since ? age(serverNow() - n.Since) : ""], [t("state"), n.By ? t("by", n.By) : ""], [t("tags"), tagsText(n.Tags)],
    [t("rtt"), micros(n.RTT)], [t("loss"), percent(n.Loss)]]), actions, body);
  ask(body, "view?addr=", addr, (v) => [facts([[t("version"), v.Version], ["Go", v.Go], ["broach", v.Library.replace(/^broach /, "")],
    [t("up"), age(v.Uptime)], [t("heap"), bytes(v.Heap)], [t("goroutines"), number(v.Goroutines)]]), ...viewTables(v)]);
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
