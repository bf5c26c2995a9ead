// Calls: a form by what the function says it takes, or the same as JSON. Texts of JSON are put together by hand where
// numbers are concerned: the browser would round large ones.

const callState = { name: "", past: [], meta: "", seconds: "6" };

function startCall(name) {
  callState.name = name;
  if (location.hash === "#call") show();
  else location.hash = "call";
}

const sample = (ty, names, deep = 0) => {
  if (!ty || deep > 3) return "null";
  if (ty.Kind === "ref") return names[ty.Name] ? sample(names[ty.Name], names, deep + 1) : "null";
  if (/int|float/.test(ty.Kind)) return "0";
  switch (ty.Kind) {
    case "bool": return "false";
    case "string": case "bytes": return '""';
    case "duration": return '"1s"';
    case "time": return JSON.stringify(new Date().toISOString().slice(0, 19) + "Z");
    case "slice": return "[]";
    case "map": return "{}";
    case "array": return "[" + Array(Math.min(ty.Len, 64)).fill(sample(ty.Elem, names, deep + 1)).join(", ") + "]";
    case "struct": return "{" + (ty.Fields || []).filter((f) => !f.Optional).map((f) => JSON.stringify(f.Name) + ": " + sample(f.Type, names, deep + 1)).join(", ") + "}";
    default: return "null";
  }
};

const typeText = (ty) => (!ty ? "any" : ty.Name || { slice: "[]" + typeText(ty.Elem), array: `[${ty.Len}]` + typeText(ty.Elem), map: `map[${typeText(ty.Key)}]` + typeText(ty.Elem), pointer: "*" + typeText(ty.Elem) }[ty.Kind] || ty.Kind);

// parsed is a value, or undefined where that is no JSON.
const parsed = (text) => {
  try { return JSON.parse(text); } catch { return undefined; }
};

let fieldCount = 0;

// field is one input; its read() is JSON, or throws where that is none.
function field(label, ty, names, deep) {
  const id = "f" + ++fieldCount, complain = (input, why) => {
    input.setAttribute("aria-invalid", "true");
    input.focus();
    throw new Error(label + " " + why);
  };
  const calm = (e) => e.target.removeAttribute("aria-invalid");
  const line = (input, read, hint) => {
    const e = labelled(input, label, h("span.soft.mono", " " + (hint || typeText(ty))));
    e.read = () => read(input);
    return e;
  };
  if (ty.Kind === "struct" && deep < 3) {
    const inner = (ty.Fields || []).map((f) => [f, field(f.Name, f.Type, names, deep + 1)]);
    const e = h("fieldset.struct", h("legend", label, h("span.soft.mono", " " + typeText(ty))), inner.map(([, x]) => x));
    e.read = () => "{" + inner.map(([f, x]) => [f, x.read()]).filter(([f, v]) => !(f.Optional && /^(""|null)$/.test(v))).map(([f, v]) => JSON.stringify(f.Name) + ":" + v).join(",") + "}";
    return e;
  }
  if (ty.Kind === "bool") return line(h("input", { id, type: "checkbox" }), (i) => String(i.checked));
  if (/int|float/.test(ty.Kind)) {
    return line(h("input", { id, inputmode: "decimal", value: "0", oninput: calm }), (i) =>
      (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(i.value.trim()) ? i.value.trim() : complain(i, t("badNumber"))));
  }
  if (ty.Kind === "string") return line(h("input", { id }), (i) => JSON.stringify(i.value));
  if (ty.Kind === "bytes") return line(h("input", { id }), (i) => JSON.stringify(i.value), t("secret"));
  if (ty.Kind === "time" || ty.Kind === "duration") return line(h("input", { id, value: JSON.parse(sample(ty)) }), (i) => JSON.stringify(i.value));
  const box = h("textarea", { id, rows: "3", oninput: calm });
  box.value = sample(ty, names);
  return line(box, (i) => (parsed(i.value) !== undefined ? i.value.trim() : complain(i, t("badJson"))));
}

function namesIn(d) {
  const names = {}, note = (ty) => {
    if (!ty) return;
    if (ty.Name && ty.Kind !== "ref") names[ty.Name] = ty;
    note(ty.Elem);
    note(ty.Key);
    for (const f of ty.Fields || []) note(f.Type);
  };
  for (const p of d.Params || []) note(p.Type);
  return names;
}

// formOf is all inputs of a function.
function formOf(d) {
  const names = namesIn(d), params = d.Params || [];
  const inputs = params.map((p, i) => field((p.Name || t("arg", i + 1)) + (d.Variadic && i === params.length - 1 ? ", " + t("more") : ""), d.StreamsIn && i === params.length - 1 ? { Kind: "slice", Elem: p.Type } : p.Type, names, 0));
  const e = h("div.form", inputs);
  e.read = () => {
    const list = inputs.map((x) => x.read());
    if (d.Variadic) list.push(...[list.pop().trim().slice(1, -1)].filter((s) => s.trim()));
    return "[" + list.join(", ") + "]";
  };
  return e;
}

const quote = (s) => "'" + s.replaceAll("'", "'\\''") + "'";
const listIn = (text) => parsed(text) || [];

// copies are the same call elsewhere.
const copies = (c) => ({
  curl: `curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d ${quote(JSON.stringify(c))} ${quote(new URL("api/call", location.href).href)}`,
  "broach call": "broach call " + quote(c.Name) + listIn(c.Args).map((a) => " " + quote(JSON.stringify(a))).join(""),
  Go: "result, err := node.Caller(" + JSON.stringify(c.Name) + ").Call(ctx" + listIn(c.Args).map((a) => ", " + (a && typeof a === "object" ? "/* " + JSON.stringify(a) + " */" : JSON.stringify(a))).join("") + ")",
});

function copyButtons(c) {
  return h("p.buttons", h("span.soft", t("copyAs")), Object.entries(copies(c)).map(([name, text]) => button(".small", { onclick: async (e) => {
    await navigator.clipboard.writeText(text);
    put(e.target, t("copied"));
    setTimeout(() => put(e.target, name), 1500);
  } }, name)));
}

function replyOf(r) {
  const where = r.Node && h("div.soft", longName(r.Node));
  if (r.Code) return h("div.reply.ill", where, h("b", r.Code), h("div", r.Message || ""), h("div.soft", t("ran", r.Executed)));
  return h("div.reply", where, h("pre.code", r.Value === undefined ? t("sent") : r.Value), r.Cut && h("div.soft", t("cut")));
}

const callView = {
  sections: ["functions"],
  mount(root) {
    if (!me.Calls) {
      root.append(h("h1", t("call")), card("", h("p", t("callsOff"))));
      return { update() {} };
    }
    const names = h("datalist", { id: "functions" }), out = h("div", { "aria-live": "polite" }), inputs = h("div"), about = h("div"), past = h("ul.past");
    const pick = h("input", { id: "pick", list: "functions", value: callState.name, autocomplete: "off", onchange: () => choose(pick.value) });
    const go = h("button.primary", t("callNow")), on = h("select", { id: "on" }), mode = h("select", { id: "mode" },
      [["", "mOne"], ["all", "mAll"], ["send", "mSend"]].map(([v, k]) => h("option", { value: v }, t(k))));
    const seconds = h("input", { id: "seconds", inputmode: "decimal", value: callState.seconds, onchange: () => { callState.seconds = seconds.value; } });
    const meta = h("textarea", { id: "meta", rows: "2", onchange: () => { callState.meta = meta.value; } });
    meta.value = callState.meta;
    let inputForm = null, described = null, listed = "";
    const whole = form(".stack", make, labelled(pick, t("fn")), about, inputs,
      h("details", h("summary", t("options")), h("div.grid", labelled(on, t("onNode")), labelled(mode, t("mode")), labelled(seconds, t("timeout"))), labelled(meta, t("meta"))), h("p", go));
    root.append(h("h1", t("call")), names, h("div.two", card("", whole), card(t("result"), out, past)));

    async function choose(name) {
      callState.name = name;
      inputForm = described = about.turn = null;
      about.replaceChildren();
      inputs.replaceChildren();
      if (!name) return;
      await ask(about, "describe?name=", name, (d) => {
        described = d;
        drawInputs("form");
        return [h("pre.code", d.Signature), d.Doc ? h("p.soft", d.Doc) : ""];
      });
    }

    function drawInputs(to, text) {
      if (to === "form") inputForm = formOf(described);
      else {
        const box = h("textarea", { id: "args", rows: "6", class: "mono" });
        box.value = text || "[" + (described.Params || []).map((p, i, all) => (described.StreamsIn && i === all.length - 1 ? "[]" : sample(p.Type, namesIn(described)))).join(", ") + "]";
        inputForm = labelled(box, t("args"));
        inputForm.read = () => box.value;
      }
      inputs.replaceChildren(radios("", "way", [["form", t("asForm")], ["json", t("asJson")]], to, (v) => {
        let now = "";
        try { now = inputForm.read(); } catch { now = ""; }
        drawInputs(v, v === "json" ? now : "");
      }), inputForm);
    }

    async function make() {
      if (!inputForm) return choose(pick.value);
      const c = { Name: callState.name, Args: "", Timeout: Math.round(seconds.value * 1000) || 0 };
      try {
        c.Args = inputForm.read();
      } catch (e) {
        return out.replaceChildren(complaint(e));
      }
      if (on.value) c.On = on.value;
      if (mode.value) c.Mode = mode.value;
      const pairs = meta.value.split("\n").map((l) => l.split(/=(.*)/s)).filter(([k]) => k.trim()).map(([k, v]) => [k.trim(), v || ""]);
      if (pairs.length) c.Meta = Object.fromEntries(pairs);
      go.disabled = true;
      out.replaceChildren(h("p.soft", t("calling")));
      try {
        const a = await api("call", c);
        out.replaceChildren(...a.Replies.map(replyOf), h("p.soft", t("took", micros(a.Took), a.Attempts)), copyButtons(c));
        callState.past.unshift({ c, at: serverNow(), code: a.Replies.map((r) => r.Code).find(Boolean) || "", took: a.Took });
      } catch (e) {
        out.replaceChildren(complaint(e), copyButtons(c));
      }
      callState.past.splice(30);
      go.disabled = false;
      return drawPast();
    }

    function drawPast() {
      past.replaceChildren(callState.past.length ? h("li", h("h3", t("history"))) : "", ...callState.past.map((p) => h("li", badge(p.code ? 7 : 1, clockTime(p.at)), button(".link.mono", { onclick: async () => {
        pick.value = p.c.Name;
        await choose(p.c.Name);
        if (described && callState.name === p.c.Name) drawInputs("json", p.c.Args);
      } }, p.c.Name + "(" + p.c.Args.slice(1, -1) + ")"), h("span.soft", p.code || micros(p.took)))));
    }

    drawPast();
    if (callState.name) choose(callState.name);
    return {
      update() {
        const now = [...rowsOf("functions")].filter(([, f]) => f.Callable).map(([k]) => k).sort(), nodes = [...rowsOf("nodes").keys()].sort();
        const line = JSON.stringify([now, nodes]);
        if (line === listed) return;
        listed = line;
        names.replaceChildren(...now.map((k) => h("option", { value: k })));
        const was = on.value;
        on.replaceChildren(h("option", { value: "" }, t("anyNode")), ...nodes.map((a) => h("option", { value: a }, longName(a))));
        on.value = was;
      },
    };
  },
};
