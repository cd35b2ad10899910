"use strict";
// Sorting: a click on a heading; numbers by value, what has none last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
    const index = [...head.parentElement.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.children[index].dataset.v ?? "";
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
      return down ? -order : order;
    });
    body.append(...rows);
  });
}
// Hover values: whatever has data-tip shows it beside the pointer, or at a touch.
const tip = document.getElementById("tip");
function show(event) {
  const from = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = !from;
  if (!from) return;
  tip.textContent = from.dataset.tip;
  const box = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - box.width - 6);
  const above = event.clientY - box.height - 12;
  tip.style.left = Math.max(6, left) + "px";
  tip.style.top = (above < 4 ? event.clientY + 16 : above) + "px";
}
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
// The legend: pointing at an arm lights it up in every chart, a click hides it.
for (const button of document.querySelectorAll(".legend button")) {
  const own = [...document.querySelectorAll(".s")].filter((s) => s.dataset.arm === button.dataset.arm);
  const charts = document.querySelectorAll(".panels");
  const light = (on) => {
    own.forEach((s) => s.classList.toggle("lit", on));
    charts.forEach((chart) => chart.classList.toggle("dim", on));
  };
  button.addEventListener("pointerenter", () => light(true));
  button.addEventListener("pointerleave", () => light(false));
  button.addEventListener("click", () => {
    const off = button.classList.toggle("off");
    button.setAttribute("aria-pressed", String(!off));
    own.forEach((s) => s.classList.toggle("hidden", off));
  });
}
