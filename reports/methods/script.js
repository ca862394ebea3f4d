"use strict";

// Tables: sorting and choosing rows

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

function makeSortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const next = now === "none" ? head.dataset.first : now === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      sortBy(table, column, next === "ascending" ? 1 : -1);
    });
  });
}

function makeChoosable(table) {
  const column = Number(table.dataset.chosenBy);
  const rows = Array.from(table.tBodies[0].rows);
  const value = (row) => row.cells[column].dataset.value;
  const values = Array.from(new Set(rows.map(value))).sort((a, b) => Number(a) - Number(b));
  if (values.length < 2) return;
  const title = table.tHead.rows[0].cells[column].textContent;
  const group = document.createElement("div");
  group.className = "chips";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", title);
  const buttons = ["all", ...values].map((text) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-pressed", String(text === "all"));
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      rows.forEach((row) => { row.hidden = text !== "all" && value(row) !== text; });
    });
    return button;
  });
  group.append(title + ":", ...buttons);
  table.parentElement.before(group);
}

for (const table of document.querySelectorAll("table.results")) {
  makeSortable(table);
  if (table.dataset.chosenBy !== undefined) makeChoosable(table);
}

// Images: a browser over the strips, and two images compared

const TILES_AT_ONCE = 60;

class Browser {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.prompt = 0;
    this.everything = false;
    this.alone = []; // pictures that nothing is compared with
    this.prompts = root.querySelector(".prompts");
    this.steps = root.querySelector("select.steps");
    if (this.data.cells.length > TILES_AT_ONCE) this.steps.selectedIndex = 1;
    root.querySelector(".no-script").hidden = true;
    root.querySelector(".choose").hidden = false;
    this.prompts.addEventListener("change", () => this.show(this.prompts.selectedIndex));
    root.querySelector(".previous").addEventListener("click", () => this.show(this.prompt - 1));
    root.querySelector(".next").addEventListener("click", () => this.show(this.prompt + 1));
    this.steps.addEventListener("change", () => { this.everything = false; this.draw(); });
    root.querySelector(".more button").addEventListener("click", () => { this.everything = true; this.draw(); });
    this.compare = root.dataset.compare === "1" && this.data.cells.length > 1 ? new Compare(this) : null;
    this.draw();
  }

  title(cell) {
    return `${cell[0]}, ${cell[1]} ${cell[1] === 1 ? "step" : "steps"}`;
  }

  paint(picture, cell) {
    const [, , file, count, side] = cell;
    const there = this.prompt < count;
    picture.style.setProperty("--count", count);
    picture.style.backgroundImage = `url("${file}")`;
    picture.style.visibility = there ? "visible" : "hidden";
    picture.classList.toggle("pixels", side < 128);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", `${this.title(cell)}: ${this.data.prompts[this.prompt]}`);
  }

  tile(cell, index) {
    const item = document.createElement("li");
    const picture = document.createElement("div");
    picture.className = "picture";
    if (!this.compare) this.alone.push([picture, cell]);
    const name = document.createElement("span");
    name.dir = "auto";
    name.textContent = this.compare ? cell[0] : this.title(cell);
    const frame = document.createElement(this.compare ? "button" : "div");
    frame.className = "tile";
    frame.append(picture, name);
    if (this.compare) {
      frame.type = "button";
      frame.dataset.cell = index;
      frame.setAttribute("aria-label", `Compare ${this.title(cell)}`);
      frame.addEventListener("click", () => this.compare.take(index));
    }
    item.append(frame);
    return item;
  }

  draw() {
    const chosen = this.steps.value;
    let cells = this.data.cells.map((cell, index) => [cell, index]);
    if (chosen !== "all") cells = cells.filter(([cell]) => String(cell[1]) === chosen);
    const all = cells.length;
    if (!this.everything) cells = cells.slice(0, TILES_AT_ONCE);
    const more = this.root.querySelector(".more");
    more.hidden = cells.length === all;
    more.querySelector("button").textContent = `Show all ${all}`;
    const rows = new Map();
    this.alone = [];
    for (const [cell, index] of cells) {
      const row = this.compare ? cell[1] : 0;
      if (!rows.has(row)) rows.set(row, []);
      rows.get(row).push(this.tile(cell, index));
    }
    const parts = [];
    for (const [steps, items] of rows) {
      const list = document.createElement("ul");
      list.append(...items);
      if (steps > 0) {
        const head = document.createElement("h4");
        head.textContent = steps === 1 ? "1 step" : `${steps} steps`;
        parts.push(head);
      }
      parts.push(list);
    }
    this.root.querySelector(".tiles").replaceChildren(...parts);
    this.show(this.prompt);
  }

  show(index) {
    const count = this.data.prompts.length;
    this.prompt = (index + count) % count;
    this.prompts.selectedIndex = this.prompt;
    this.root.querySelector(".prompt").textContent = this.data.prompts[this.prompt];
    this.root.style.setProperty("--index", this.prompt);
    if (this.compare) this.compare.draw();
    for (const [picture, cell] of this.alone) this.paint(picture, cell);
  }
}

class Compare {
  constructor(browser) {
    this.browser = browser;
    this.root = browser.root.querySelector(".compare");
    this.stage = this.root.querySelector(".stage");
    this.selects = [this.root.querySelector("select.one"), this.root.querySelector("select.other")];
    this.next = 0;
    this.timer = null;
    const cells = browser.data.cells;
    for (const select of this.selects) {
      select.append(...cells.map((cell, index) => new Option(browser.title(cell), index)));
      select.addEventListener("change", () => this.draw());
    }
    this.selects[0].value = 0;
    this.selects[1].value = Math.max(1, cells.findIndex((cell) => cell[1] === cells[0][1] && cell !== cells[0]));
    this.root.hidden = false;
    for (const radio of this.root.querySelectorAll("input[type=radio]")) {
      radio.addEventListener("change", () => this.mode(radio.value));
    }
    this.root.querySelector("input[type=range]").addEventListener("input", (event) => {
      this.stage.style.setProperty("--cut", `${event.target.value}%`);
    });
    this.root.querySelector(".blink button").addEventListener("click", () => this.play(this.timer === null));
  }

  take(index) {
    this.selects[this.next].value = index;
    this.next = 1 - this.next;
    this.draw();
  }

  draw() {
    const cells = this.browser.data.cells;
    const chosen = this.selects.map((select) => Number(select.value));
    ["a", "b"].forEach((side, place) => {
      const figure = this.stage.querySelector(`.${side}`);
      this.browser.paint(figure.querySelector(".picture"), cells[chosen[place]]);
      figure.querySelector("figcaption").textContent = `${"AB"[place]}: ${this.browser.title(cells[chosen[place]])}`;
    });
    for (const tile of this.browser.root.querySelectorAll("button.tile")) {
      const place = chosen.indexOf(Number(tile.dataset.cell));
      tile.setAttribute("aria-pressed", String(place >= 0));
      tile.dataset.place = place < 0 ? "" : "AB"[place];
      this.browser.paint(tile.querySelector(".picture"), cells[Number(tile.dataset.cell)]);
    }
  }

  mode(name) {
    this.stage.dataset.mode = name;
    this.root.querySelector(".slide").hidden = name !== "slider";
    this.root.querySelector(".blink").hidden = name !== "flicker";
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.play(name === "flicker" && !still);
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = on ? setInterval(() => this.turn(), 600) : null;
    this.root.querySelector(".blink button").textContent = on ? "Pause" : "Play";
    this.stage.dataset.turn = "a";
    this.say();
  }

  turn() {
    this.stage.dataset.turn = this.stage.dataset.turn === "a" ? "b" : "a";
    this.say();
  }

  say() {
    this.root.querySelector(".blink span").textContent = `shown: ${this.stage.dataset.turn.toUpperCase()}`;
  }
}

for (const root of document.querySelectorAll(".browser")) new Browser(root);

// Details that a link points at are opened

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}
window.addEventListener("hashchange", openTarget);
openTarget();
