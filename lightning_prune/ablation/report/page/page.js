// Draw the pictures, and handle the choices of the reader: menus, arms, the order of tables, the filter.
const pictures = JSON.parse(document.getElementById("pictures").textContent);
for (const { spec } of pictures) spec.datasets.rows = spec.datasets.rows.flatMap(unpacked);
const dark = matchMedia("(prefers-color-scheme: dark)");
const hidden = new Set();
const drawn = new Map(); // name -> {picture, view}
const FACET_MARGIN = 70; // Pixels beside a panel for its axis. Panels cannot ask for the width of the page.

// Data stand by columns. A column of words has its different words, and their places.
function unpacked({ names, columns }) {
  const whole = columns.map((column) => (Array.isArray(column) ? column : column.at.map((place) => column.words[place])));
  return (whole[0] ?? []).map((_, row) => Object.fromEntries(names.map((name, column) => [name, whole[column][row]])));
}

const place = (name) => document.querySelector(`[data-picture="${name}"]`);

function theme() {
  const style = getComputedStyle(document.documentElement);
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const font = style.fontFamily;
  return {
    background: "transparent",
    font,
    legend: { labelColor: ink, titleColor: soft },
    axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 12 },
    title: { color: ink, font },
    header: { labelColor: ink, labelFontSize: 12 },
    text: { color: ink },
    view: { stroke: null },
  };
}

// Black and white stand for ink and paper: the last color of the arms, and hollow marks.
function inked(spec) {
  if (!dark.matches) return spec;
  const text = JSON.stringify(spec)
    .replaceAll('"#000000"', '"#8a8f98"')
    .replaceAll('"white"', '"#16181c"');
  return JSON.parse(text);
}

async function draw(picture) {
  const target = place(picture.name);
  const spec = picture.spec.facet ? structuredClone(picture.spec) : inked(picture.spec);
  if (spec.facet) spec.spec.width = Math.max(target.clientWidth - FACET_MARGIN, 120);
  const options = { renderer: "svg", config: theme(), tooltip: { theme: dark.matches ? "dark" : "light" } };
  options.actions = { export: true, source: false, compiled: false, editor: false };
  options.downloadFileName = picture.name;
  const before = drawn.get(picture.name);
  const { view } = await vegaEmbed(target, spec, options);
  before?.view.finalize();
  drawn.set(picture.name, { picture, view });
  for (const signal of picture.signals) view.signal(signal, menu(picture.name, signal).value);
  await show(view);
  target.dataset.drawn = "true";
  target.dataset.mode = dark.matches ? "dark" : "light";
}

const menu = (name, signal) => document.querySelector(`#${name} select[data-signal="${signal}"]`);

async function show(view) {
  if ("hidden" in view.getState().signals) view.signal("hidden", [...hidden]);
  await view.runAsync();
}

async function choose(signal, value) {
  for (const select of document.querySelectorAll(`select[data-signal="${signal}"]`)) {
    if ([...select.options].some((option) => option.value === value)) select.value = value;
  }
  for (const { picture, view } of drawn.values()) {
    if (!picture.signals.includes(signal)) continue;
    view.signal(signal, menu(picture.name, signal).value);
    await view.runAsync();
  }
}

function toggle(button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", on);
  on ? hidden.delete(button.dataset.arm) : hidden.add(button.dataset.arm);
  for (const { view } of drawn.values()) show(view);
}

function sort(table, header) {
  const column = header.cellIndex;
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const text = header.dataset.kind === "text";
  const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  const order = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // Missing values stay at the end.
    const sign = text ? a.localeCompare(b, undefined, { numeric: true }) : parseFloat(a) - parseFloat(b);
    return down ? -sign : sign;
  };
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
}

function filter(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const shown = rows.filter((row) => !row.hidden).length;
  document.querySelector(`[data-count="${input.dataset.filter}"]`).textContent = `${shown} of ${rows.length} rows`;
}

for (const select of document.querySelectorAll("select[data-signal]"))
  select.addEventListener("change", () => choose(select.dataset.signal, select.value));
for (const button of document.querySelectorAll("nav.arms button")) button.addEventListener("click", () => toggle(button));
for (const header of document.querySelectorAll(".sortable th")) {
  const table = header.closest("table");
  header.tabIndex = 0;
  header.addEventListener("click", () => sort(table, header));
  header.addEventListener("keydown", (event) => event.key === "Enter" && sort(table, header));
}
for (const input of document.querySelectorAll("input[data-filter]")) {
  input.addEventListener("input", () => filter(input));
  filter(input);
}
// A print shows what is folded on the screen.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("main details:not(.picture details, [open])")) {
    details.dataset.folded = "true";
    details.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details[data-folded]")) {
    delete details.dataset.folded;
    details.open = false;
  }
});
const all = () => Promise.all(pictures.map(draw));
dark.addEventListener("change", all);
let waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => pictures.filter(({ spec }) => spec.facet).forEach(draw), 150);
});
await all();
document.documentElement.dataset.ready = "true";
