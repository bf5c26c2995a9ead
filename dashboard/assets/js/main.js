// The frame: which view is shown, in which language and light.

const views = { overview, nodes: nodesView, who: whoView, topology: topologyView, functions: functionsView, call: callView, events: eventsView, settings: settingsView };
let current = null, view = null, frame = null;

const remembered = (key) => { try { return localStorage.getItem("broach-" + key); } catch { return null; } };
const remember = (key, value) => { try { localStorage.setItem("broach-" + key, value); } catch { /* a browser that keeps nothing */ } };

function setTheme(v) {
  remember("theme", v);
  document.documentElement.dataset.theme = v;
  redraw();
}

function setLanguage(zh) {
  chinese = zh;
  remember("language", zh ? "zh" : "en");
  document.documentElement.lang = zh ? "zh-CN" : "en";
}

// build makes the frame anew, in the language of now.
function build() {
  const links = Object.keys(views).map((k) => h("a", { href: "#" + k }, t(k)));
  const theme = h("select", { "aria-label": t("theme"), onchange: (e) => setTheme(e.target.value) }, ["auto", "light", "dark"].map((v) => h("option", { value: v, selected: v === (remembered("theme") || "auto") }, t(v))));
  const state = h("span.soft", { role: "status" }), self = h("span.soft.mono");
  frame = { links, state, main: h("main", { id: "main", tabindex: "-1" }), self };
  document.body.replaceChildren(h("a.skipto", { href: "#main", onclick: (e) => { e.preventDefault(); frame.main.focus(); } }, t("skip")),
    h("div.frame", h("header.side", h("div.brand", h("b", me.Name || "broach"), state), h("nav", { "aria-label": t("views") }, links),
      h("div.foot", h("div.soft", t("seenFrom")), self, h("div.choices", theme,
        button(".quiet.small", { lang: chinese ? "en" : "zh-CN", onclick: () => { setLanguage(!chinese); build(); show(); } }, t("language"))))), frame.main));
  put(self, me.Addr || "");
  if (store.nodes) setState(true);
  else put(state, t("loading"));
}

function setState(isLive) {
  put(frame.state, t(isLive ? "live" : "lost"));
  set(frame.state, "class", "pulse" + (isLive ? "" : " ill"));
}

const sectionsNow = () => ["sum", "nodes", ...view.sections];

// reopen asks for other sections, for the same view.
function reopen() {
  openStream(sectionsNow());
  stream.onchange(["nodes"]);
}

function show() {
  const name = views[location.hash.slice(1)] ? location.hash.slice(1) : "overview";
  if (current && current.end) current.end();
  seeRows([]);
  view = views[name];
  for (const a of frame.links) {
    const isIt = a.hash === "#" + name;
    a.ariaCurrent = isIt ? "page" : null;
    if (isIt) a.parentNode.scrollLeft = a.offsetLeft - 100;
  }
  document.title = t(name) + " · " + (me.Name || "broach");
  frame.main.replaceChildren();
  current = null;
  const mounted = view.mount(frame.main);
  current = mounted;
  if (store.nodes) mounted.update(new Set(Object.keys(store)));
  openStream(sectionsNow());
  scrollTo(0, 0);
}

let drawDue = 0, changed = new Set();
stream.onchange = (names) => {
  for (const n of names) changed.add(n);
  drawDue = drawDue || requestAnimationFrame(() => {
    drawDue = 0;
    const now = changed;
    changed = new Set();
    if (current && store.nodes) current.update(now);
  });
};
const redraw = () => stream.onchange(["look"]); // nothing is new but colours or sizes
stream.onstate = (isLive) => frame && setState(isLive);

function askToken(isWrong) {
  const input = h("input", { id: "token", type: "password", autocomplete: "current-password" });
  document.body.replaceChildren(h("main.login", form(".card.stack", () => login(input.value), h("h1", t("tokenTitle")), h("p.soft", t("tokenText")), labelled(input, t("token")),
  isWrong && h("p.ill", { role: "alert" }, t("tokenWrong")), h("p", h("button.primary", t("enter"))))));
  input.focus();
}

async function login(token) {
  try {
    await api("login", { Token: token });
  } catch {
    return askToken(true);
  }
  return begin();
}

// begin finds out whether one may look, and what one may do.
async function begin() {
  const [, token] = location.hash.match(/^#token=(.*)$/) || [];
  if (token) {
    history.replaceState(null, "", location.pathname + location.search);
    return login(decodeURIComponent(token));
  }
  try {
    me = await api("me");
  } catch (e) {
    if (e.status === 401) return askToken(false);
    if (!frame) build();
    setState(false);
    return setTimeout(begin, 2000);
  }
  build();
  return show();
}

addEventListener("hashchange", () => (location.hash.startsWith("#token=") ? begin() : frame && show()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", redraw);
setInterval(() => stream.onchange([]), 5000); // ages go on
setLanguage((remembered("language") || navigator.language || "en").startsWith("zh"));
setTheme(remembered("theme") || "auto");
begin();
