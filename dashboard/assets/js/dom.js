// Elements. What is shown is always text, never markup: names, tags and errors are words of strangers.

function fill(e, attrs, kids) {
  for (const [k, v] of Object.entries(attrs)) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v === true) e.setAttribute(k, "");
    else if (v !== false && v != null) e.setAttribute(k, v);
  }
  e.append(...kids.flat(2).filter((k) => k != null && k !== false));
  return e;
}

// h makes an element of HTML: h("p.soft", { hidden: true }, "text", others); the attributes may be left out.
function h(name, ...kids) {
  const [tag, ...classes] = name.split("."), e = document.createElement(tag);
  e.className = classes.join(" ");
  return fill(e, kids[0] && Object.getPrototypeOf(kids[0]) === Object.prototype ? kids.shift() : {}, kids);
}

const svg = (tag, attrs, ...kids) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attrs, kids);

const button = (classes, attrs, ...kids) => h("button" + classes, { type: "button", ...attrs }, ...kids);

// natural is the order in which people count: 10.0.0.9 before 10.0.0.10.
const natural = new Intl.Collator("en", { numeric: true }).compare;

// put changes a text only if it is another one.
function put(e, text) {
  if (e.textContent !== String(text)) e.textContent = text;
  return e;
}

const set = (e, name, value) => e.getAttribute(name) !== value && e.setAttribute(name, value);

const badge = (mark, text) => h("span", { class: "badge m" + mark }, h("i"), h("b", text || t("m" + mark)));

// showBadge changes the badge of a cell, which gets one at first.
function showBadge(td, mark, text) {
  if (!td.firstChild) td.append(badge(mark));
  set(td.firstChild, "class", "badge m" + mark);
  put(td.firstChild.lastChild, text || t("m" + mark));
}

const card = (title, ...kids) => h("section.card", title && h("h2", title), kids);

// form is one that does something when it is sent, in place of going elsewhere.
const form = (classes, send, ...kids) => h("form" + classes, { onsubmit: (e) => { e.preventDefault(); send(); } }, kids);

// labelled is an input with its name above it.
const labelled = (input, ...text) => h("div.field", h("label", { for: input.id }, text), input);

// radios is a choice of a few.
function radios(label, name, choices, value, chosen) {
  return h("fieldset.radios", h("legend", label), choices.map(([v, text]) =>
    h("label", h("input", { type: "radio", name, value: v, checked: v === value, onchange: () => chosen(v) }), h("span", text))));
}

// twice is a button that has to be pressed twice.
function twice(text, act) {
  let armed = 0;
  const b = button(".danger", { onclick: () => {
    clearTimeout(armed);
    if (armed) {
      armed = 0;
      put(b, text);
      return act(b);
    }
    put(b, t("sure"));
    armed = setTimeout(() => { armed = 0; put(b, text); }, 3000);
  } }, text);
  return b;
}

// dialog opens one, which Escape closes; the focus then goes back to where it was.
function dialog(title, ...kids) {
  const d = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => d.remove(), onclick: (e) => e.target === d && d.close() },
    h("div.sheet", h("header", h("h2", { id: "dialog-title" }, title),
      button(".quiet", { "aria-label": t("close"), onclick: () => d.close() }, "✕")), kids));
  document.body.append(d);
  d.showModal();
  return d;
}

// plainTable is a small one that is drawn as a whole. Columns are [label, isNumber].
const plainTable = (columns, list) => h("div.scroll", h("table.plain", {},
  h("thead", h("tr", columns.map(([label, num]) => h("th", { scope: "col", class: num && "num" }, label)))),
  h("tbody", list.map((row) => h("tr", row.map((v, i) => h("td", { class: columns[i][1] && "num" }, v)))))));

// spark is a curve without axes: how it was lately.
function spark() {
  const line = svg("path", { class: "line" }), area = svg("path", { class: "area" });
  const e = svg("svg", { class: "spark", viewBox: "0 0 120 32", preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  e.draw = (list) => {
    const top = Math.max(...list) * 1.1, path = list.map((v, i) => (120 * i / (list.length - 1)).toFixed(1) + " " + (31 - 30 * v / top).toFixed(1)).join("L");
    const isCurve = list.length > 1 && top > 0; // what is 0 all the time is said by the number
    set(line, "d", isCurve ? "M" + path : "");
    set(area, "d", isCurve ? `M0 32L${path}L120 32Z` : "");
  };
  return e;
}
