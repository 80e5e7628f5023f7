// The pages work without this file. It makes them live: it replaces the parts that changed, sends forms without a
// reload, keeps the newest message in sight and asks for confirmations in a dialog.
"use strict";
(() => {
  const body = document.body;
  body.classList.add("live");
  const scroller = document.querySelector(".scroll");
  const toBottom = () => { if (scroller && scroller.querySelector("#messages")) scroller.scrollTop = scroller.scrollHeight; };
  toBottom();

  // A menu outside a form of its own acts as soon as it is changed; its Set button is only for those without script.
  const enhance = (root) => {
    for (const b of root.querySelectorAll("button.set")) b.hidden = true;
    for (const a of root.querySelectorAll("a[ping]")) { a.dataset.press = a.getAttribute("ping"); a.removeAttribute("ping"); }
  };
  // What the server last sent for each region, as the browser writes it. What people and this script do to the page
  // since then (open menus, hidden buttons) is no reason to replace it.
  const regionOf = (name) => document.querySelector(`[data-region="${name}"]`);
  const shown = {};
  for (const el of document.querySelectorAll("[data-region]")) shown[el.dataset.region] = el.innerHTML;
  const normal = (html) => { const t = document.createElement("template"); t.innerHTML = html; return t.innerHTML; };
  enhance(document);
  // While a window is open the page behind it takes no keys.
  const veil = () => { for (const el of document.querySelectorAll(".skip, .rail, .sidebar, .main")) el.inert = !!document.querySelector("#modal"); };
  veil();

  // A press is a pointer going down and up on the same element. The element must not go away in between, so a region
  // waits for its replacement while it is held, and a little longer: after a touch the click comes as a task of its own.
  const waiting = {};
  let held = "", releasing = 0;
  const release = () => {
    held = "";
    for (const [name, html] of Object.entries(waiting)) { delete waiting[name]; replace(name, html); }
  };
  const letGo = () => { if (held && !releasing) releasing = setTimeout(() => { releasing = 0; release(); }, 50); };
  addEventListener("pointerdown", (e) => {
    clearTimeout(releasing); releasing = 0;
    const el = e.target.closest && e.target.closest("[data-region]"), name = el ? el.dataset.region : "";
    if (name !== held) release();
    held = name;
  }, true);
  for (const type of ["pointerup", "pointercancel", "blur"]) addEventListener(type, letGo);
  // Menus and scroll bars may swallow the pointerup. (A text box's change comes while the next button is pressed.)
  addEventListener("change", (e) => { if (e.target.tagName === "SELECT") letGo(); });
  addEventListener("pointermove", (e) => { if (!e.buttons) letGo(); });

  const replace = (name, html) => {
    const el = regionOf(name);
    if (!el) return;
    const now = normal(html);
    if (now === shown[name]) { delete waiting[name]; return; }
    if (name === held) { waiting[name] = html; return; }
    shown[name] = now;
    const near = el.scrollHeight - el.scrollTop - el.clientHeight < 120;
    const open = el.querySelector("details[open]") && name === "sidebar";
    const had = document.activeElement && el.contains(document.activeElement) ? document.activeElement : null;
    const typed = had && had.type === "search" ? had.value : "";
    const was = name === "modal" && el.querySelector("#modal");
    const view = was ? was.dataset.viewId : "", top = was ? was.querySelector(".modal-body").scrollTop : 0;
    const focus = had && (had.id ? "#" + CSS.escape(had.id) : had.dataset.actionId ? `[data-action-id="${CSS.escape(had.dataset.actionId)}"]` : "");
    el.innerHTML = html; // the server's own fragment; everything in it is escaped there
    enhance(el);
    if (open) el.querySelector("details").open = true;
    if (near && name === "content") toBottom();
    if (name === "modal") {
      veil();
      const first = !el.querySelector("#modal") ? document.querySelector("#composer textarea") : el.querySelector("[aria-invalid], .modal-body input:not([type=hidden]), .modal-body textarea, .modal-body select, #modal-submit, #modal-close");
      if (first && !focus) first.focus();
    }
    // The same window stays where it was scrolled to, with what is being typed in it.
    const same = view && el.querySelector("#modal");
    if (same && same.dataset.viewId === view) same.querySelector(".modal-body").scrollTop = top;
    if (focus) { const again = el.querySelector(focus); if (again) { again.focus(); if (typed && !again.value) again.value = typed; } }
  };
  if (body.dataset.live && window.EventSource) {
    const src = new EventSource(body.dataset.live);
    src.onmessage = (e) => { const m = JSON.parse(e.data); replace(m.region, m.html); };
    addEventListener("pagehide", () => src.close());
  }

  const send = async (form, button, extra) => {
    const data = new URLSearchParams(new FormData(form, button));
    for (const [k, v] of Object.entries(extra || {})) data.set(k, v);
    form.setAttribute("aria-busy", "true");
    try {
      const res = await fetch(form.getAttribute("action"), { method: "POST", body: data, headers: { "X-Requested-With": "fetch" } });
      const next = res.headers.get("X-Next");
      if (!res.ok) location.reload();
      else if (next) location.assign(next);
    } finally { form.removeAttribute("aria-busy"); }
  };

  const ask = (b) => new Promise((done) => {
    const d = document.createElement("dialog");
    d.className = "ask";
    const add = (tag, text, cls) => { const e = document.createElement(tag); e.textContent = text; if (cls) e.className = cls; d.append(e); return e; };
    add("h2", b.dataset.confirmTitle); add("p", b.dataset.confirmText);
    const row = document.createElement("div"); row.className = "buttons";
    const no = add("button", b.dataset.confirmNo, "button"), yes = add("button", b.dataset.confirmYes, "button primary solid");
    no.id = "confirm-no"; yes.id = "confirm-yes";
    row.append(no, yes); d.append(row); body.append(d);
    const end = (ok) => { d.remove(); done(ok); };
    no.onclick = () => end(false); yes.onclick = () => end(true); d.oncancel = () => end(false);
    d.showModal();
  });

  addEventListener("submit", async (e) => {
    const form = e.target, button = e.submitter;
    const local = form.id === "composer" || form.closest(".blocks, .modal, .scroll, .top");
    if (!local || !body.dataset.live) return;
    e.preventDefault();
    if (form.id === "composer") {
      const box = form.elements.text;
      if (!box.value.trim()) return;
      const p = send(form, button);
      box.value = ""; box.style.height = ""; box.focus();
      await p; toBottom(); return;
    }
    const extra = {};
    if (button && button.dataset.confirmTitle !== undefined) {
      if (!(await ask(button))) return;
      extra.confirmed = "1";
    }
    for (const d of form.querySelectorAll("details[open]")) d.open = false;
    await send(form, button, extra);
  });

  addEventListener("change", (e) => {
    const el = e.target;
    if (el.form && el.form.hasAttribute("data-submit-on-change")) { el.form.submit(); return; }
    const set = el.dataset.acts && el.parentElement.querySelector("button.set");
    if (set) el.form.requestSubmit(set);
    else if (el.dataset.actionId && (el.type === "radio" || el.type === "checkbox")) {
      const group = el.closest(".menu-control");
      const b = group && group.querySelector("button.set");
      if (b) el.form.requestSubmit(b);
    }
  });

  // Enter in the field of a menu that the app fills asks for its options, whatever else its form could send.
  addEventListener("keydown", (e) => {
    const ask = e.key === "Enter" && e.target.type === "search" && e.target.parentElement.querySelector("button.suggest");
    if (ask) { e.preventDefault(); e.target.form.requestSubmit(ask); }
  });

  // A menu that opens at the edge of what scrolls is brought into sight. It closes when something else is pressed.
  addEventListener("toggle", (e) => {
    const menu = e.target.open && e.target.matches("details.overflow") && e.target.querySelector(".menu");
    if (menu) menu.scrollIntoView({ block: "nearest" });
  }, true);
  const openMenus = (but) => [...document.querySelectorAll("details.overflow[open]")].filter((d) => !but || !d.contains(but));

  addEventListener("click", (e) => {
    for (const d of openMenus(e.target)) d.open = false;
    const a = e.target.closest && e.target.closest("a[data-press]");
    if (a) fetch(a.dataset.press, { method: "POST", headers: { "X-Requested-With": "fetch" } });
  });

  const box = document.querySelector("#composer textarea");
  if (box) {
    // The Enter that sends a command may still be held when the window it asked for has opened: it must not press that
    // window's first button too.
    let entered = false;
    box.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); entered = true; box.form.requestSubmit(); }
    });
    const ended = (e) => { if (e.type === "blur" ? e.target === window : e.key === "Enter") entered = false; };
    for (const type of ["keyup", "blur"]) addEventListener(type, ended, true);
    const spend = (e) => { if (entered && e.key === "Enter" && e.target !== box) e.preventDefault(); };
    for (const type of ["keydown", "keypress"]) addEventListener(type, spend, true);
    box.addEventListener("input", () => { box.style.height = "auto"; box.style.height = Math.min(box.scrollHeight, 200) + "px"; });
  }
  addEventListener("keydown", (e) => {
    const [menu] = e.key === "Escape" ? openMenus() : [];
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); return; }
    const x = e.key === "Escape" && !document.querySelector("dialog[open]") && document.querySelector("#modal-x");
    if (x) x.click();
  });
})();
