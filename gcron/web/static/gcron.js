// What makes the pages live. Without it they show how things stood when they were loaded, and all buttons work.
"use strict";
(() => {
  const body = document.body, base = body.dataset.base, csrf = body.dataset.csrf;
  const find = (what, where = document) => where.querySelector(what);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  // Clocks of browsers may be wrong: times are shown by that of the machine.
  let skew = 0;

  // -- times: the same words as in words.py
  const distance = (s) => s >= 86400 ? `${Math.floor(s / 86400)} d` : s >= 3600 ? `${Math.floor(s / 3600)} h` : s >= 60 ? `${Math.floor(s / 60)} min` : `${s} s`;
  const span = (s) => s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : s < 86400 ? `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min` : `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const tick = () => {
    if (document.hidden) return;
    const now = Date.now() / 1000 - skew;
    for (const node of all("[data-t]")) {
      const left = Math.floor(node.dataset.t - now), past = Math.floor(now - node.dataset.t);
      put(node, left >= 1 ? `in ${distance(left)}` : past < 1 ? (left >= 0 ? "now" : "just now") : `${distance(past)} ago`);
      if (!node.title) node.title = new Date(node.dataset.t * 1000).toLocaleString();
    }
    for (const node of all("[data-e]")) put(node, span(Math.max(0, Math.floor(now - node.dataset.e))));
  };

  // -- what has happened
  let hiding;
  const say = (text) => {
    const said = find("#said");
    said.textContent = text;
    said.hidden = false;
    said.classList.add("float");
    clearTimeout(hiding);
    hiding = setTimeout(() => { said.hidden = true; }, 6000);
  };
  const link = (text) => { const node = find("#link"); if (node) node.textContent = text; };

  // -- buttons, without loading the page
  document.addEventListener("submit", async (event) => {
    const button = event.submitter, form = event.target;
    if (!button || button.name !== "do") return;
    event.preventDefault();
    button.disabled = true;
    const data = new URLSearchParams(new FormData(form));
    data.set("do", button.value);
    try {
      const answer = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json", "X-CSRF-Token": csrf } });
      const told = await answer.json();
      say(told.said || told.detail || "It did not work");
      refresh();
    } catch (error) {
      say("gcron does not answer");
    }
    button.disabled = false;
  });

  // -- the page of another moment takes the place of this one
  let loading = false, again = false;
  const refresh = async () => {
    if (loading) { again = true; return; }
    loading = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const id of ["fresh", "head", "jobs"]) {
          const mine = document.getElementById(id), other = fresh.getElementById(id);
          if (mine && other && !mine.contains(document.activeElement && document.activeElement.closest("select,input"))) mine.replaceWith(other);
        }
        tick();
      }
    } catch (error) { link("· gcron does not answer"); }
    loading = false;
    if (again) { again = false; setTimeout(refresh, 1000); }
  };

  // -- changes
  const rows = (changed) => {
    const table = find("#jobs");
    if (!table) return;
    for (const row of all("tbody tr", table)) {
      const html = changed[decodeURIComponent(find("a", row).getAttribute("href").split("/jobs/")[1])];
      if (!html) continue;
      const holder = document.createElement("tbody");
      holder.innerHTML = html;
      const made = holder.firstElementChild;
      made.classList.add("fresh");
      if (row.classList.contains("sel")) made.classList.add("sel");
      const focused = row.contains(document.activeElement) ? document.activeElement.value : null;
      row.replaceWith(made);
      if (focused) { const same = all("button", made).find((one) => one.value === focused); if (same) same.focus(); }
    }
    tick();
  };
  let headline;
  const follow = (where) => {
    const source = new EventSource(`${base}/live?${where}`);
    const isOverview = where.startsWith("page=overview");
    source.onopen = () => link("· live");
    source.onerror = () => {
      link(source.readyState === 2 ? "· not live" : "· connecting");
      // Refused, as when many browsers come at once: this one comes again, at another time than they do.
      if (source.readyState === 2) setTimeout(() => follow(where), 5000 + Math.random() * 10000);
    };
    source.addEventListener("changed", (event) => {
      const changed = JSON.parse(event.data);
      if (!isOverview || !Object.keys(changed).length) { refresh(); return; }
      rows(changed);
      clearTimeout(headline);
      headline = setTimeout(head, 3000 + Math.random() * 4000);  // not all browsers at once
    });
    addEventListener("pagehide", () => source.close());
  };
  const head = async () => {
    const answer = await fetch(`${base}/head`).catch(() => null);
    if (!answer || !answer.ok) return;
    const mine = find("#head"), holder = document.createElement("div");
    holder.innerHTML = await answer.text();
    if (mine && holder.firstElementChild) mine.replaceWith(holder.firstElementChild);
  };

  // -- output
  const output = find("#output");
  const followOutput = () => {
    const source = new EventSource(output.dataset.follow), note = find(".following");
    source.onopen = () => { output.textContent = ""; if (note) note.hidden = false; };
    source.addEventListener("output", (event) => {
      const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
      const [rest, html] = JSON.parse(event.data);
      if (rest) (output.lastElementChild || output).insertAdjacentHTML("beforeend", rest);
      output.insertAdjacentHTML("beforeend", html);
      if (output.childNodes.length > 20000) output.firstChild.remove();
      if (atEnd) output.scrollTop = output.scrollHeight;
    });
    source.addEventListener("end", () => { source.close(); if (note) note.hidden = true; refresh(); });
    addEventListener("pagehide", () => source.close());
  };

  // -- keys: / filter, j k move, enter open, ? help
  const move = (step) => {
    const list = all("#jobs tbody tr, .list tbody tr").filter((row) => !row.hidden);
    if (!list.length) return;
    const at = list.findIndex((row) => row.classList.contains("sel"));
    const next = list[Math.min(list.length - 1, Math.max(0, at + step))];
    if (at >= 0) list[at].classList.remove("sel");
    next.classList.add("sel");
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
    const keys = { "/": () => find("input[type=search]") && find("input[type=search]").focus(), j: () => move(1), k: () => move(-1), "?": () => say("/ filter · j k move · Enter open · ? this help") };
    if (event.key === "Enter" && !event.target.closest("a, button")) { const to = find("tr.sel a"); if (to) to.click(); return; }
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  // -- the filter, as one types: of the rows that are here at once, of all jobs after a moment
  const filter = find("input[type=search]");
  let asking;
  if (filter) filter.addEventListener("input", () => {
    const text = filter.value.toLowerCase().trim();
    for (const row of all("#jobs tbody tr")) row.hidden = !!text && !row.cells[0].textContent.toLowerCase().includes(text);
    clearTimeout(asking);
    const url = new URL(location.href);
    text ? url.searchParams.set("q", filter.value.trim()) : url.searchParams.delete("q");
    url.searchParams.delete("page");
    asking = setTimeout(() => { if (find(".pager") || filter.defaultValue) location.assign(url); else history.replaceState(null, "", url); }, 600);
  });
  for (const choice of all(".tools select")) choice.addEventListener("change", () => choice.form.requestSubmit());
  for (const button of all(".tools[role=search] button")) button.hidden = true;
  const wrap = find("#wrap");
  if (wrap) { wrap.hidden = false; wrap.addEventListener("click", () => output.classList.toggle("wrap")); }
  const times = find("#times");
  if (times) { times.hidden = false; times.addEventListener("click", () => output.classList.toggle("bare")); }

  setInterval(tick, 1000);
  if (body.dataset.live) follow(body.dataset.live);
  if (output && output.dataset.follow) followOutput();
})();
