// Events: what has happened, the newest first. While one reads further down, new ones wait behind a button.

const eventMark = (kind) => ({ "member up": 1, "member suspect": 5, "member offline": 7, "member unreachable": 6, "circuit opened": 5, "circuit closed": 1, "service paused": 3, "service resumed": 1 }[kind] || 4);
const eventText = (kind) => (texts[kind] ? t(kind) : kind);

const eventsView = {
  sections: ["events"],
  mount(root) {
    const list = h("tbody"), more = button(".primary.small", { hidden: true, onclick: () => { scrollTo(0, 0); draw(); } });
    const empty = h("p.soft.pad", t("noEvents"));
    let newest = -1, needle = "";
    const search = filterBox("filterNodes", (text) => { needle = text; draw(); });
    root.append(h("div.toolbar", h("h1", t("events")), search, more), me.Calls ? topicCard() : "",
      h("div.tablebox", h("table.live", h("caption.hidden", t("events")), h("thead", h("tr", [["when", "mono"], ["happened", ""], ["fn", "p2"], ["name", ""], ["address", "mono p2"]].map(([k, c]) => h("th", { scope: "col", class: c }, t(k))))), list), empty));

    function draw() {
      const all = [...rowsOf("events")].map(([k, e]) => [Number(k), e]).sort((a, b) => b[0] - a[0]);
      newest = all.length ? all[0][0] : -1;
      more.hidden = true;
      const fits = all.filter(([, e]) => !needle || [e.Kind, eventText(e.Kind), e.Addr, e.Name, e.Service].join(" ").toLowerCase().includes(needle));
      empty.hidden = fits.length > 0;
      list.replaceChildren(...fits.map(([, e]) => h("tr", h("td.mono.soft", clockTime(e.At)), h("td", badge(eventMark(e.Kind), eventText(e.Kind))),
        h("td.p2", e.Service || none), h("td", e.Name || none), h("td.mono.p2", e.Addr))));
    }

    return {
      update(changed) {
        if (!changed.has("events") && newest >= 0) return;
        const fresh = [...rowsOf("events").keys()].filter((k) => Number(k) > newest).length;
        if (newest < 0 || scrollY < 80) return draw();
        more.hidden = !fresh;
        put(more, t("newOnes", fresh));
      },
      end: stopTopic,
    };
  },
};

let topicSource = null;

function stopTopic() {
  if (topicSource) topicSource.close();
  topicSource = null;
}

function topicCard() {
  const name = h("input", { id: "topic" }), list = h("ol.tail"), why = h("p.ill");
  const go = h("button.primary", t("listen"));
  const stop = () => {
    stopTopic();
    put(go, t("listen"));
  };
  const start = () => {
    put(go, t("stop"));
    topicSource = new EventSource("api/topic?name=" + encodeURIComponent(name.value));
    topicSource.addEventListener("event", (e) => {
      const row = JSON.parse(e.data);
      list.prepend(h("li", h("span.soft.mono", clockTime(row.At) + " " + nodeName(row.From) + " "), h("pre.code", row.Text)));
      while (list.children.length > 50) list.lastChild.remove();
    });
    topicSource.onerror = () => { put(why, t("noAnswer")); stop(); };
  };
  return h("details.card", h("summary", t("topicTail")), h("p.soft", t("topicText")),
    form(".buttons", () => { put(why, ""); (topicSource ? stop : start)(); }, h("label", { for: "topic" }, t("topic")), name, go), why, list);
}
