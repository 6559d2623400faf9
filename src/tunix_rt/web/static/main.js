// What a page does beyond links and forms. Without this file every page still filters, pages and sends its forms.
import { follow, refresh } from "./live.js";
import { swap } from "./swap.js";
import "./chart.js";

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

let shown = location.href;

async function go(address, how) {
  if (!(await swap(address, how))) return;
  shown = location.href;
  if (how === "back") fillFilters();
}

// After Back, the filters show what the address says.
function fillFilters() {
  const given = new URLSearchParams(location.search);
  for (const form of $$("form[data-swap]"))
    for (const field of form.elements) if (field.name) field.value = given.get(field.name) ?? "";
}

function addressOf(form) {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") given.append(name, value);
  const text = given.toString();
  return form.getAttribute("action") + (text ? `?${text}` : "");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (link && !event.defaultPrevented && event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey)) {
    event.preventDefault();
    go(link.href, "push");
    return;
  }
  const button = event.target.closest("button");
  if (!button) return;
  if ("themeSwitch" in button.dataset) switchTheme();
  else if ("keys" in button.dataset) $("#keys").showModal();
  else if (button.dataset.copy) copy(button.dataset.copy, button);
  else if ("addRow" in button.dataset) addRow(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form[data-swap]")) {
    event.preventDefault();
    go(addressOf(form), "push");
  } else if (form.dataset.sure && !confirm(form.dataset.sure)) {
    event.preventDefault();
  } else if (form.method === "post") {
    form.setAttribute("aria-busy", "true");
  }
});

let typing;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-swap]");
  if (!form || event.target.type !== "search") return;
  clearTimeout(typing);
  typing = setTimeout(() => go(addressOf(form), "replace"), 250);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-swap]");
  if (form && event.target.type !== "search") go(addressOf(form), "push");
});

addEventListener("popstate", () => {
  const before = new URL(shown);
  if (before.pathname === location.pathname && before.search !== location.search) go(location.href, "back");
  shown = location.href;
});

function switchTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const other = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  if (other === system) delete root.dataset.theme;
  else root.dataset.theme = other;
  try {
    if (other === system) localStorage.removeItem("theme");
    else localStorage.setItem("theme", other);
  } catch { /* it lasts as long as the page */ }
}

async function copy(id, button) {
  const source = document.getElementById(id);
  if (!source) return;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
  }
  if (!button) return;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1200);
}

function addRow(button) {
  const rows = $$(".steprow", button.parentElement);
  const made = rows.at(-1).cloneNode(true);
  made.className = "steprow";
  for (const field of $$("input, textarea", made)) {
    field.value = "";
    field.setAttribute("aria-label", field.getAttribute("aria-label").replace(/\d+$/, rows.length + 1));
  }
  button.before(made);
  $("textarea", made).focus();
}

// Rows: j and k move, Enter opens.
function move(by) {
  const rows = $$("[data-row]");
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("on"));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))];
  rows[at]?.classList.remove("on");
  next.classList.add("on");
  next.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => { const field = $("[data-search]"); field?.focus(); field?.select(); },
  j: () => move(1),
  k: () => move(-1),
  Enter: () => $("[data-row].on a[href]")?.click(),
  "[": () => ($("a[data-previous]") ?? { click: () => history.back() }).click(),
  "]": () => $("a[data-next]")?.click(),
  u: () => { if (document.body.dataset.up) location.assign(document.body.dataset.up); },
  c: () => copy("command", $("[data-copy=command]")),
  t: switchTheme,
  "?": () => $("#keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, textarea, select, [contenteditable]");
  if (event.key === "Escape" && inField) event.target.blur();
  if (inField || event.metaKey || event.ctrlKey || event.altKey || $("dialog[open]")) return;
  if (event.key === "Enter" && event.target.matches("a, button, summary")) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

$("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
for (const log of $$("[data-log]")) log.scrollTop = log.scrollHeight;
follow();
refresh();
