// Runs before the page is painted, so that a chosen theme never flashes.
const chosen = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
if (chosen) document.documentElement.dataset.theme = chosen;
document.documentElement.classList.add("with-js");
