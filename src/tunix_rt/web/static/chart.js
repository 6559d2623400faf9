// <loss-chart>: lines of (step, loss) from a JSON island, raw and smoothed, that more points can be added to.
const NS = "http://www.w3.org/2000/svg";
const LEFT = 52;
const BOTTOM = 22;
const TOP = 8;
const MOST = 1500;

class LossChart extends HTMLElement {
  connectedCallback() {
    const island = JSON.parse(this.querySelector("script").textContent);
    this.series = island.series.map((points) => points.filter(sound));
    this.total = island.total ?? 0;
    this.smoothing = 0.6;
    this.logarithmic = false;
    const tools = this.previousElementSibling;
    tools?.querySelector("[data-smoothing]")?.addEventListener("input", (event) => {
      this.smoothing = Number(event.target.value);
      this.draw();
    });
    tools?.querySelector("[data-logscale]")?.addEventListener("change", (event) => {
      this.logarithmic = event.target.checked;
      this.draw();
    });
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this);
  }

  disconnectedCallback() {
    this.watch?.disconnect();
  }

  add(points) {
    this.series[0] = thinned([...this.series[0], ...points.filter(sound)]);
    this.draw();
  }

  upTo(total) {
    this.total = total;
    this.draw();
  }

  draw() {
    const box = { w: this.clientWidth, h: this.clientHeight };
    const all = this.series.flat();
    const svg = element("svg", { viewBox: `0 0 ${box.w} ${box.h}`, "aria-hidden": "true" });
    if (all.length) this.lines(svg, box, all);
    else svg.append(text("No step has ended yet.", LEFT, box.h / 2, "start"));
    this.querySelector("svg")?.remove();
    this.append(svg);
  }

  lines(svg, box, all) {
    const scale = (value) => (this.logarithmic ? Math.log10(Math.max(value, 1e-9)) : value);
    const steps = all.map((point) => point[0]);
    const values = all.map((point) => scale(point[1]));
    const x = across([Math.min(...steps), Math.max(...steps)], [LEFT, box.w - 8]);
    const y = across(spread(values), [box.h - BOTTOM, TOP]);
    for (const tick of ticks(y.from, Math.max(2, Math.floor(box.h / 60)))) {
      const at = y(tick);
      svg.append(element("path", { class: "grid", d: `M${LEFT} ${at}H${box.w - 8}` }));
      svg.append(text(short(this.logarithmic ? 10 ** tick : tick), LEFT - 8, at + 4, "end"));
    }
    for (const tick of ticks(x.from, Math.max(2, Math.floor(box.w / 120))).filter(Number.isInteger))
      svg.append(text(tick.toLocaleString("en"), x(tick), box.h - 4, "middle"));
    this.series.forEach((points, i) => {
      const places = points.map((point) => [x(point[0]), y(scale(point[1]))]);
      svg.append(element("path", { class: i ? "raw second" : "raw", d: path(places) }));
      const calm = smooth(points.map((point) => point[1]), this.smoothing).map((value, k) => [places[k][0], y(scale(value))]);
      svg.append(element("path", { class: i ? "smooth other" : "smooth", d: path(calm) }));
      if (points.length === 1) svg.append(element("circle", { cx: places[0][0], cy: places[0][1], r: 3, class: "smooth" }));
    });
  }
}

const sound = (point) => Number.isFinite(point[1]);

function across(from, to) {
  const [low, high] = from[0] === from[1] ? [from[0] - 0.5, from[1] + 0.5] : from;
  const place = (value) => round(to[0] + ((value - low) / (high - low)) * (to[1] - to[0]));
  place.from = [low, high];
  return place;
}

function spread(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

// Debiased exponential moving average, as trainers' dashboards draw it.
function smooth(values, weight) {
  let sum = 0;
  let share = 0;
  return values.map((value) => {
    sum = sum * weight + value * (1 - weight);
    share = share * weight + (1 - weight);
    return sum / share;
  });
}

function ticks([low, high], count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

// The smallest and the largest of each bucket, as the server thins.
function thinned(points) {
  if (points.length <= 2 * MOST) return points;
  const kept = [];
  const buckets = MOST / 2;
  for (let k = 0; k < buckets; k++) {
    const part = points.slice(Math.floor((k * points.length) / buckets), Math.floor(((k + 1) * points.length) / buckets));
    const low = part.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = part.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

const round = (value) => Math.round(value * 10) / 10;
const path = (places) => (places.length ? `M${places.map((place) => place.join(" ")).join("L")}` : "");
const short = (value) => Number(value.toPrecision(3)).toString();

function element(name, attributes) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function text(content, x, y, anchor) {
  const made = element("text", { x, y, "text-anchor": anchor });
  made.textContent = content;
  return made;
}

customElements.define("loss-chart", LossChart);
