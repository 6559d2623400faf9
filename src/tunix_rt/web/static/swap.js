// Replace the parts of this page that are marked data-frame by those of another address. Whatever does not fit is loaded as a
// page of its own.
const all = (root) => [...root.querySelectorAll("[data-frame]")];

let asked = 0;

export async function swap(address, how = "stay") {
  const mine = ++asked;
  let other;
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    other = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (problem) {
    if (how === "stay") throw problem;
    location.assign(address);
    return false;
  }
  if (mine !== asked) return false;
  const found = new Map(all(other).map((frame) => [frame.dataset.frame, frame]));
  const mineToo = all(document);
  if (!mineToo.length || mineToo.some((frame) => !found.has(frame.dataset.frame))) {
    location.assign(address);
    return false;
  }
  for (const frame of mineToo) frame.replaceWith(found.get(frame.dataset.frame));
  document.title = other.title;
  if (how === "push") history.pushState(null, "", address);
  if (how === "replace") history.replaceState(null, "", address);
  return true;
}
