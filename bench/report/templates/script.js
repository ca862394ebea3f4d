"use strict";

function sortBy(table, column, direction) {
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.value;
  const rows = Array.from(body.rows);
  rows.sort((one, other) => {
    const a = key(one), b = key(other);
    if (a === "" || b === "") return (a === "") - (b === "");
    const numeric = Number(a) - Number(b);
    return direction * (Number.isNaN(numeric) ? a.localeCompare(b) : numeric);
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.results")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const first = head.dataset.first;
      const next = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      sortBy(table, column, next === "ascending" ? 1 : -1);
    });
  });
}

for (const browser of document.querySelectorAll(".browser")) {
  const select = browser.querySelector("select");
  const quote = browser.querySelector("blockquote");
  const show = (index) => {
    const count = select.options.length;
    select.selectedIndex = (index + count) % count;
    const text = select.options[select.selectedIndex].dataset.text;
    quote.textContent = text;
    browser.style.setProperty("--index", select.selectedIndex);
    for (const tile of browser.querySelectorAll(".tile")) {
      const missing = select.selectedIndex >= Number(tile.dataset.count);
      tile.style.visibility = missing ? "hidden" : "visible";
      tile.setAttribute("aria-label", tile.dataset.name + ": " + text);
    }
  };
  select.addEventListener("change", () => show(select.selectedIndex));
  browser.querySelector(".previous").addEventListener("click", () => show(select.selectedIndex - 1));
  browser.querySelector(".next").addEventListener("click", () => show(select.selectedIndex + 1));
  browser.querySelector(".choose").hidden = false;
  show(0);
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
}
window.addEventListener("hashchange", openTarget);
openTarget();
