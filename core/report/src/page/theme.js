
const root = document.documentElement;
const remembered = "offramp-theme";
try { const theme = localStorage.getItem(remembered); if (theme) root.dataset.theme = theme; } catch {}
addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem(remembered, root.dataset.theme); } catch {}
  });
  const contents = document.querySelector("nav details");
  if (contents && matchMedia("(max-width: 89.99rem)").matches) contents.open = false;
});
