// A table of any number of rows, of which those in sight are drawn. It is sorted when somebody says so, or when rows come
// and go, and not because a number has changed: what one reads stays where it is.

const rowHeight = 40;

// Columns: { id, label, num, cls, text(row, key), draw(td, row, key), sort(row, key) }.
function liveTable({ columns, caption, open, insight }) {
  let rows = new Map(), order = [], shown = "", sortBy = columns[0], down = false, current = null, needle = "", known = "";
  const made = new Map();
  const head = h("tr"), body = h("tbody"), above = h("tr.gap", h("td")), below = h("tr.gap", h("td"));
  const empty = h("p.soft.pad", { hidden: true }, t("nothing"));
  const table = h("table.live", h("caption.hidden", caption), h("thead", head), body);

  for (const c of columns) {
    const mark = h("span.arrow", { "aria-hidden": "true" });
    const b = button("", { onclick: () => {
      down = sortBy === c ? !down : Boolean(c.num);
      sortBy = c;
      resort();
      draw();
    } }, c.label, mark);
    c.th = h("th", { scope: "col", class: (c.num ? "num " : "") + (c.cls || "") }, b);
    c.mark = mark;
    head.append(c.th);
  }

  function resort() {
    const value = sortBy.sort || ((row, key) => sortBy.text(row, key));
    const list = [...rows.keys()].filter((k) => !needle || needleFits(k));
    const by = new Map(list.map((k) => [k, value(rows.get(k), k)]));
    const compare = (a, b) => (typeof a === "number" ? a - b : natural(a, b));
    order = list.sort((a, b) => (down ? -1 : 1) * compare(by.get(a), by.get(b)) || natural(a, b));
    for (const c of columns) {
      c.th.ariaSort = c === sortBy ? (down ? "descending" : "ascending") : "none";
      put(c.mark, c === sortBy ? (down ? "↓" : "↑") : "");
    }
    table.setAttribute("aria-rowcount", order.length + 1);
    empty.hidden = order.length > 0;
    shown = "";
  }

  const needleFits = (key) => columns.some((c) => c.text(rows.get(key), key).toLowerCase().includes(needle));

  function make(key) {
    const tr = h("tr", { tabindex: "-1" });
    tr.cells_ = columns.map((c) => h("td", { class: (c.num ? "num " : "") + (c.cls || "") }));
    tr.append(...tr.cells_);
    tr.key = key;
    if (open) tr.addEventListener("click", () => { focus(key, false); open(key); });
    made.set(key, tr);
    return tr;
  }

  function renew(tr) {
    const row = rows.get(tr.key);
    columns.forEach((c, i) => (c.draw ? c.draw(tr.cells_[i], row, tr.key) : put(tr.cells_[i], c.text(row, tr.key))));
  }

  function draw() {
    const top = body.getBoundingClientRect().top;
    const from = Math.max(0, Math.min(order.length, Math.floor(-top / rowHeight) - 5));
    const to = Math.min(order.length, from + Math.ceil(innerHeight / rowHeight) + 10);
    const keys = order.slice(from, to);
    const line = from + " " + keys.join(" ");
    if (line !== shown) {
      shown = line;
      const had = document.activeElement && document.activeElement.key;
      for (const [key] of made) if (!rows.has(key)) made.delete(key);
      above.firstChild.style.height = from * rowHeight + "px";
      below.firstChild.style.height = (order.length - to) * rowHeight + "px";
      body.replaceChildren(above, ...keys.map((k, i) => {
        const tr = made.get(k) || make(k);
        tr.setAttribute("aria-rowindex", from + i + 2);
        return tr;
      }), below);
      for (const [key] of made) if (made.size > 400 && !keys.includes(key)) made.delete(key);
      if (had && made.has(had) && body.contains(made.get(had))) made.get(had).focus({ preventScroll: true });
      if (insight) insight(keys);
    }
    for (const k of keys) renew(made.get(k));
    const tab = keys.includes(current) ? current : keys[0];
    for (const k of keys) set(made.get(k), "tabindex", k === tab ? "0" : "-1");
  }

  function focus(key, scroll) {
    current = key;
    if (scroll) {
      const y = body.getBoundingClientRect().top + order.indexOf(key) * rowHeight;
      if (y < 60) scrollBy(0, y - 60);
      else if (y + rowHeight > innerHeight - 20) scrollBy(0, y + rowHeight - innerHeight + 20);
    }
    draw();
    if (made.has(key)) made.get(key).focus({ preventScroll: true });
  }

  body.addEventListener("keydown", (e) => {
    const at = order.indexOf(e.target.key);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1, PageDown: at + 10, PageUp: at - 10 }[e.key];
    if (at < 0) return;
    if (to !== undefined) {
      e.preventDefault();
      focus(order[Math.max(0, Math.min(order.length - 1, to))], true);
    } else if ((e.key === "Enter" || e.key === " ") && open) {
      e.preventDefault();
      open(e.target.key);
    }
  });

  let due = 0;
  const soon = () => { due = due || requestAnimationFrame(() => { due = 0; draw(); }); };
  addEventListener("scroll", soon, { passive: true });
  return {
    element: h("div.tablebox", table, empty),
    update(now) {
      rows = now;
      const keys = [...now.keys()].sort().join();
      if (keys !== known) {
        known = keys;
        resort();
      }
      draw();
    },
    filter(text) {
      needle = text;
      resort();
      draw();
    },
    end: () => removeEventListener("scroll", soon),
  };
}

// numbers is a column of a field that is a number, shown with its unit.
const numbers = (label, show, field, cls) => ({ label: t(label), num: true, text: (row) => show(row[field]), sort: (row) => row[field] || 0, cls });

// filterBox is a search field above a table.
const filterBox = (hint, filter) => h("label.filter", h("span.hidden", t("filter")),
  h("input", { type: "search", placeholder: t(hint), oninput: (e) => filter(e.target.value.trim().toLowerCase()) }));
