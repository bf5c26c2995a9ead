// What the server has said: sections of rows, each by its key, and the stream that keeps them new.

const store = {};
const rowsOf = (section) => store[section] || new Map();
const sum = () => rowsOf("sum").get("") || {};
const nodeName = (addr) => (rowsOf("nodes").get(addr) || {}).Name || addr;
const longName = (addr) => (nodeName(addr) === addr ? t("noName") : nodeName(addr)) + " " + addr;

let me = { Every: 2000 };
let skew = 0; // ms, of the browser's clock
const serverNow = () => Date.now() + skew;

async function api(path, body) {
  const r = await fetch("api/" + path, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = r.status === 204 ? {} : await r.json().catch(() => ({}));
  if (!r.ok || answer.error) throw Object.assign(new Error(answer.error || r.statusText || r.status), { status: r.status });
  return answer;
}

function apply(section, p) {
  if (p.full || !store[section]) store[section] = new Map();
  for (const [key, row] of Object.entries(p.set || {})) store[section].set(key, row);
  for (const key of p.del || []) store[section].delete(key);
}

const stream = { source: null, sections: "", id: "", onchange: () => {}, onstate: () => {} };

// openStream asks for what a view shows. A tab that is hidden has none.
function openStream(sections) {
  closeStream();
  stream.sections = sections;
  if (document.hidden) return;
  stream.id = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
  const s = new EventSource("api/stream?sections=" + encodeURIComponent(sections.join(",")) + "&id=" + stream.id);
  stream.source = s;
  s.addEventListener("clock", (e) => { skew = e.data - Date.now(); });
  s.addEventListener("patch", (e) => {
    const parts = JSON.parse(e.data);
    for (const name in parts) apply(name, parts[name]);
    stream.onstate(true);
    stream.onchange(Object.keys(parts));
  });
  s.onopen = () => { lastSight = ""; sendSight(); };
  s.onerror = () => {
    stream.onstate(false);
    if (s.readyState === EventSource.CLOSED && stream.source === s) setTimeout(() => stream.source === s && begin(), 2000);
  };
}

function closeStream() {
  if (stream.source) stream.source.close();
  stream.source = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) closeStream();
  else if (stream.sections) openStream(stream.sections);
});

// The rows in sight are asked for first.
let sight = [], lastSight = "", sightTimer = 0;

function seeRows(rows) {
  sight = rows;
  clearTimeout(sightTimer);
  sightTimer = setTimeout(sendSight, 300);
}

function sendSight() {
  const text = sight.join();
  if (!stream.source || text === lastSight) return;
  lastSight = text;
  api("sight", { ID: stream.id, Rows: sight }).catch(() => { lastSight = ""; });
}
