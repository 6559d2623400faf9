// A run as it happens: ask for what is new twice a second while the page is seen, less often while nothing answers.
import { swap } from "./swap.js";

const PAUSE = 500;
const SLOWEST = 4000;
const MOST_LOG = 200000; // characters of the log that stay on the page

const $ = (selector) => document.querySelector(selector);

// Parts of a page that change now and then.
export function refresh() {
  setInterval(() => {
    if ($("[data-refresh]") && !document.hidden) swap(location.href).catch(() => {});
  }, 4000);
}

export function follow() {
  const live = $("[data-live]");
  if (!live) return;
  const log = $("[data-log]");
  const place = { log: Number(log.dataset.next), metrics: Number(log.dataset.metrics), events: 0 };
  const state = $("[data-state]").textContent;
  let pause = PAUSE;
  let empty = place.log === 0;
  let rounds = 0;

  async function ask() {
    const given = new URLSearchParams(place);
    const answer = await fetch(`/api/runs/${live.dataset.live}/tail?${given}`);
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.json());
  }

  function show(found) {
    if (found.run.state !== state) return location.reload();
    if (found.log.data) {
      if (empty) log.textContent = "";
      empty = false;
      log.append(found.log.data);
      if (log.textContent.length > MOST_LOG) log.textContent = log.textContent.slice(-MOST_LOG / 2);
      if ($("[data-follow]")?.checked) log.scrollTop = log.scrollHeight;
    }
    const rows = found.metrics.data;
    if (rows.length) {
      $("loss-chart")?.add(rows.map((row) => [row.step, row.loss]));
      tiles(rows.at(-1));
    }
    for (const event of found.events.data) happened(event);
    place.log = found.log.next;
    place.metrics = found.metrics.next;
    place.events = found.events.next;
    const since = found.run.started && (Date.now() - Date.parse(found.run.started)) / 1000;
    if (since) put("took", time(since));
  }

  function tiles(row) {
    put("step", row.step.toLocaleString("en"));
    put("loss", typeof row.loss === "number" ? row.loss.toFixed(4) : String(row.loss));
    put("rate", Math.round(row.useful_tokens_per_second).toLocaleString("en"));
    const bar = $("progress");
    if (!bar) return;
    bar.value = row.step;
    put("left", time((bar.max - row.step) * row.seconds));
  }

  function happened(event) {
    if (event.kind === "phase") put("phase", event.body.name);
    const total = event.kind === "plan" && (event.body.steps ?? event.body.items);
    if (!total) return;
    put("total", total.toLocaleString("en"));
    if (!$("progress")) location.reload();
    else $("loss-chart")?.upTo(total);
  }

  async function round() {
    if (!document.hidden) {
      try {
        await ask();
        if (live.dataset.kind !== "train" && ++rounds % 4 === 0) await swap(location.href); // no metrics: the server counts
        pause = PAUSE;
        say("");
      } catch {
        pause = Math.min(SLOWEST, pause * 2);
        say("Reconnecting…");
      }
    }
    setTimeout(round, pause);
  }
  setTimeout(round, pause);
}

function put(key, text) {
  const tile = $(`[data-tile="${key}"]`);
  if (tile) tile.textContent = text;
}

function say(text) {
  const place = $("[data-connection]");
  if (place && place.textContent !== text) place.textContent = text;
}

function time(seconds) {
  if (seconds < 100) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
